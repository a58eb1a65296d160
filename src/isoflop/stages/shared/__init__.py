"""What several stages use: chunks, GPUs, models, pools."""
