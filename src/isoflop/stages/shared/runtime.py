"""What a job may use of the machine that it runs on: nothing of it decides a result."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from isoflop.config.models import Server
from isoflop.files import located, of_run


class ModelRuntime(BaseModel):
    """What one model may use: as its entry in the config has it, for a model of engine vllm or server."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpus: int = Field(default=1, ge=1)
    """GPUs that a copy of it is spread over."""
    memory_share: float = Field(default=0.9, gt=0, le=1)
    """Share of each GPU's memory for weights, keys and values."""
    server: Server | None = None
    """Where it is served."""


class Runtime(BaseModel):
    """What a job may use: the JSON of a stage's `--runtime`. Without one, what suits a stage run by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpus: int | None = Field(default=None, ge=0)
    """GPUs that Snakemake counts for the job; None where nobody counts."""
    gpus_given: bool = False
    """Whether a scheduler has given the job its GPUs already."""
    models: dict[str, ModelRuntime] = {}
    """By checkpoint: a folder, or a hub id with `@` and its commit."""
    batch_size: int = Field(default=512, ge=1)
    """Requests that a policy has in flight at once."""
    batch_tokens: int = Field(default=8192, ge=1)
    """Tokens that a verifier reads in one pass."""
    chunk_problems: int | None = Field(default=None, ge=1)
    """Problems in a chunk; None for what is usual in the stage."""
    reuse: bool = True
    """Whether finished rows of former tables and of other experiments are taken up."""
    graders: int = Field(default=1, ge=1)
    """Processes that compare answers."""
    drawers: int = Field(default=1, ge=1)
    """Processes that draw figures."""
    allow_unsandboxed: bool = False
    """Whether programs that a model wrote may run where there is no sandbox."""
    output: str = ""
    """What the job writes, as its stage knows: trained models are under the same folder."""

    def chunk(self, usual: int = 25) -> int:
        """How many problems a chunk has."""
        return usual if self.chunk_problems is None else self.chunk_problems

    def of_model(self, checkpoint: str) -> ModelRuntime:
        """What a model may use."""
        return self.models.get(checkpoint, ModelRuntime())

    def folder(self, model: str) -> Path:
        """Where a local checkpoint is: one that was trained, one of the config, or one that is shipped."""
        return located(of_run(model, self.output))
