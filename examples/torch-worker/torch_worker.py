#!/usr/bin/env python3
"""torch_worker.py - a Hugging Face causal language model as a millrace worker, through PyTorch

    torch_worker.py --attach NAME --model MODEL

MODEL is what AutoModelForCausalLM takes: a folder, or a GGUF file (which needs the packages gguf and
accelerate). It must have the tokenizer of the model that the group was started with. The options are
those that `millrace run --worker` gives to a worker, so it may be started in either way.

The token ids go into the model from where they lie in shared memory. Each context keeps its own
cache and is computed by itself, so its answer doesn't depend on what else is in the batch. What a
cache holds of a context is told by its `processed_length`: a context that another worker began
comes with 0, and its tokens are computed again.
"""
import argparse
import os
import sys
import warnings

import millrace
import numpy
import torch
import transformers

from sampling import choose, logprobs

CHUNK = 256  # tokens of a prompt at once


def load(path, device):
    if path.endswith(".gguf"):
        folder, name = os.path.split(os.path.abspath(path))
        options = {"gguf_file": name}
    else:
        folder, options = path, {}
    model, told = transformers.AutoModelForCausalLM.from_pretrained(
        folder, output_loading_info=True, torch_dtype=torch.float32, **options)
    if "lm_head.weight" in told["missing_keys"]:  # it is the embedding, which a GGUF file says by silence
        model.config.tie_word_embeddings = True
        model.tie_weights()
    return model.to(device).eval()


class Engine:
    def __init__(self, model, device):
        self.model = model
        self.device = device

    @torch.inference_mode()
    def step(self, context):
        """Compute what is active; the logits behind it, as NumPy has them."""
        if context.processed_length == 0:
            context.state = None
        active = torch.from_numpy(numpy.asarray(context.active)).unsqueeze(0)  # no copy
        out = self.model(input_ids=active.to(self.device), past_key_values=context.state, use_cache=True)
        context.state = out.past_key_values
        return out.logits[0, -1].float().cpu().numpy()


def advance(engine, context):
    """One step of a context: a piece of its prompt, or a token."""
    if context.active_length > CHUNK:
        context.chunk(CHUNK)
        engine.step(context)
        context.update(0)  # ends the chunk; no token is added
        return
    logits = engine.step(context)
    token, count = choose(logits, context), context.top_logprobs
    if count is None:
        context.update(token)
    else:
        context.update(token, *logprobs(logits, token, count))


def serve(worker, engine):
    for batch in worker:
        for context in batch:
            try:
                if not context.cancelled:
                    advance(engine, context)
                if context.is_done or context.cancelled:
                    context.hand_on()
            except (ValueError, RuntimeError) as problem:
                context.fail(str(problem))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--attach", required=True, metavar="NAME")
    options.add_argument("--model", required=True)
    options.add_argument("--name", default="torch-worker")
    options.add_argument("--threads", type=int, default=0)
    options.add_argument("--max-batch", type=int, default=8)
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = options.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    # The ids are read-only, which torch can't express; nothing here writes to them.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
    transformers.logging.set_verbosity_error()
    engine = Engine(load(given.model, given.device), given.device)
    kind = f"torch {torch.__version__} {given.device} {os.path.basename(given.model)}"
    try:
        with millrace.Worker(given.attach, fingerprint=kind, capacity=given.max_batch, name=given.name,
                             vocabulary=engine.model.config.vocab_size) as worker:
            serve(worker, engine)
    except millrace.Error as problem:
        sys.exit(f"torch-worker: {problem.strerror}")


if __name__ == "__main__":
    main()
