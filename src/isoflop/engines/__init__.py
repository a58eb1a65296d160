"""Policies: protocol, transformers, vLLM, servers, prompts, checkpoints."""
