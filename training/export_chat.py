"""Turn a training run's checkpoint into the folder that ships: float16 weights, configuration, tokenizer.

    python -m training.export_chat --run RUN --out models/starter-chat

The result loads with transformers' AutoModelForCausalLM and AutoTokenizer; that is checked before this ends. The
model card there is kept.
"""

import argparse
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from training.train_chat import MIXES, new_model


def export(checkpoint: Path, tokenizer_folder: Path, out: Path) -> int:
    """Write the checkpoint's model to ``out`` and return its number of parameters.

    Raises:
        FileNotFoundError: there is no such checkpoint or tokenizer.
        RuntimeError: the weights do not fit the model's shape.
    """
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)
    model = new_model(tokenizer)
    model.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True)["model"])
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    out.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    return sum(p.numel() for p in model.parameters())


def verify(checkpoint: Path, out: Path) -> None:
    """Load ``out`` as the bot does; raises RuntimeError where it differs from the checkpoint."""
    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    wanted = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    for name, tensor in model.state_dict().items():
        if not torch.equal(tensor, wanted[name].half().float()):
            raise RuntimeError(f"{name} differs from the checkpoint")
    tokenizer = AutoTokenizer.from_pretrained(out)
    chat = [{"role": "user", "content": "hello"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, tone="plain")
    if text != "<|begin|><|user|>hello<|end|><|tone|>plain<|assistant|>":
        raise RuntimeError(f"the chat template renders {text!r}")
    if tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) != text:
        raise RuntimeError("the tokenizer does not give the prompt back")


def main() -> None:
    """Export, verify and say what was written."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--run", type=Path, required=True, help="folder of the training run")
    args.add_argument("--out", type=Path, required=True, help="folder of the finished model")
    args.add_argument("--stage", choices=list(MIXES), default="everyday", help="whose checkpoint")
    options = args.parse_args()
    checkpoint = options.run / f"{options.stage}.pt"
    parameters = export(checkpoint, options.run / "tokenizer", options.out)
    verify(checkpoint, options.out)
    size = sum(file.stat().st_size for file in options.out.iterdir())
    print(f"{parameters:,} parameters, {size / 1e6:.1f} MB in {options.out}")


if __name__ == "__main__":
    main()
