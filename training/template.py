"""The starter model's prompt format: its control tokens and its chat template.

The template travels with the weights (tokenizer_config.json), so the bot reads it from there; this module is
where it is written down. A tone stands between the person's turn and the reply it shapes, so a prompt grows
by appending only. The starter has no system line: its persona is in the weights.
"""

BEGIN, END, USER, ASSISTANT, TONE, PAD = "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|tone|>", "<|pad|>"
CONTROL_TOKENS = [PAD, BEGIN, END, USER, ASSISTANT, TONE]

CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}"
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|>' + message['content'] + '<|end|>' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{% if message.get('tone') %}{{ '<|tone|>' + message['tone'] }}{% endif %}"
    "{{ '<|assistant|>' + message['content'] + '<|end|>' }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{% if tone %}{{ '<|tone|>' + tone }}{% endif %}{{ '<|assistant|>' }}"
    "{% endif %}"
)
