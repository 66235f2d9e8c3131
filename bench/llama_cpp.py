"""llama.cpp as a peer: its own server in another interpreter, the same weights as GGUF in q8_0.

It is installed for the benchmark alone: ``python3 -m venv peers && peers/bin/pip install xllamacpp gguf``, then
``python -m bench.generate --llama-cpp peers/bin/python``. This file is also what that interpreter runs.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


class LlamaCpp:
    """A running server. ``run`` is called from as many threads as there are people."""

    name = "llama.cpp q8_0"

    def __init__(self, python: str, model: Any, rows: int, context: int, threads: int) -> None:
        import httpx
        import numpy

        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        arrays = {name: tensor.float().numpy() for name, tensor in model.state_dict().items() if "rotary" not in name}
        numpy.savez(folder / "weights.npz", **arrays)
        shape = model.config.to_dict() | {"rows": rows, "context": context, "threads": threads}
        (folder / "shape.json").write_text(json.dumps(shape, default=str))
        self._process = subprocess.Popen(
            [python, __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout
        address = next((line.split()[1] for line in self._process.stdout if line.startswith("ready ")), None)
        if address is None:
            raise RuntimeError(f"llama.cpp did not start in {python}; are xllamacpp and gguf installed there?")
        self._client = httpx.Client(base_url=address, timeout=600, limits=httpx.Limits(max_keepalive_connections=0))

    def run(self, request: Any) -> Any:
        from bench.contenders import Outcome

        body = {
            "prompt": request.ids, "n_predict": request.tokens, "temperature": 0, "ignore_eos": True, "stream": True,
            "cache_prompt": False, "return_tokens": True,
        }  # fmt: skip
        first, ids = 0.0, []
        with self._client.stream("POST", "/completion", json=body) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith("data: "):
                    first = first or time.perf_counter()
                    ids += json.loads(line[6:]).get("tokens", [])
        return Outcome(first, time.perf_counter(), len(ids[: request.tokens]), ids[: request.tokens])

    def close(self) -> None:
        self._client.close()
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        self._folder.cleanup()


def convert(folder: Path) -> Path:
    """Write weights.npz as a GGUF file of quantised Llama weights and a vocabulary of numbers; return its path."""
    import gguf
    import numpy

    shape = json.loads((folder / "shape.json").read_text())
    arrays = dict(numpy.load(folder / "weights.npz"))
    path = folder / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    heads, kv_heads, width = shape["num_attention_heads"], shape["num_key_value_heads"], shape["hidden_size"]
    writer.add_context_length(shape["max_position_embeddings"])
    writer.add_embedding_length(width)
    writer.add_block_count(shape["num_hidden_layers"])
    writer.add_feed_forward_length(shape["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(shape["rms_norm_eps"])
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(float((shape.get("rope_parameters") or {}).get("rope_theta", 10_000.0)))
    writer.add_vocab_size(shape["vocab_size"])
    writer.add_tokenizer_model("llama")
    writer.add_token_list([f"t{at}".encode() for at in range(shape["vocab_size"])])
    writer.add_token_scores([0.0] * shape["vocab_size"])
    writer.add_token_types([1] * shape["vocab_size"])
    if "lm_head.weight" not in arrays:
        arrays["lm_head.weight"] = arrays["model.embed_tokens.weight"]
    for name, array in arrays.items():
        for theirs, count in (("q_proj", heads), ("k_proj", kv_heads)):
            if theirs in name:  # llama.cpp rotates neighbouring pairs, transformers halves
                rows, columns = array.shape
                array = array.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        if array.ndim == 1:
            writer.add_tensor(_their_name(name), array.astype(numpy.float32))
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(_their_name(name), gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _their_name(name: str) -> str:
    for ours, theirs in (
        ("model.layers.", "blk."), ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"), ("self_attn.o_proj", "attn_output"), ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"), ("post_attention_layernorm", "ffn_norm"),
        ("input_layernorm", "attn_norm"), ("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"),
        ("lm_head", "output"),
    ):  # fmt: skip
        name = name.replace(ours, theirs)
    return name


def serve(folder: Path) -> None:
    """Serve until standard input ends."""
    import xllamacpp

    shape = json.loads((folder / "shape.json").read_text())
    params = xllamacpp.CommonParams()
    params.model.path = str(convert(folder))
    params.port = 0
    params.n_parallel = shape["rows"]
    params.n_ctx = shape["rows"] * shape["context"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = shape["threads"]
    params.n_threads_http = shape["rows"] + 4
    server = xllamacpp.Server(params)
    print("ready", server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
