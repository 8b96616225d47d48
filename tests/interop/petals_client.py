"""Petals' own client, run by the Python of the Petals environment: several turns of one session.

usage: petals_client.py CHECKPOINT PREFIX ADDRESS TURNS
TURNS is JSON: for each turn the token ids that are added and how many tokens are to follow.
Prints one line of JSON last: for each turn the token ids that followed.
"""

from __future__ import annotations

import json
import sys

import torch
from petals import AutoDistributedModelForCausalLM


def main(checkpoint: str, prefix: str, address: str, turns: str) -> None:
    model = AutoDistributedModelForCausalLM.from_pretrained(
        checkpoint,
        initial_peers=[address],
        dht_prefix=prefix,
        torch_dtype=torch.float32,
        max_retries=3,
        request_timeout=30,
    )
    replies = []
    with torch.inference_mode(), model.inference_session(max_length=512) as session:
        for added, count in json.loads(turns):
            whole = model.generate(
                torch.tensor([added]), max_new_tokens=count, do_sample=False, session=session
            )
            replies.append(whole[0, len(added) :].tolist())
    print(json.dumps(replies), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
