"""The models of the config: what all have in common, where they run, and the policies."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from isoflop.config.base import UNPINNED, Count, Dtype, Entry, Name, Prompt, Revision, Sha256, Text

Engine = Literal["transformers", "vllm", "server"]
# Keys come from the environment, so neither a user nor a query is part of an address.
Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]+$")]
# In capitals, as they are by convention: what else would pass for a name may be a key (hf_...).
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Z_][A-Z0-9_]*$", max_length=60)]
Share = Annotated[float, Field(gt=0, le=1)]
# Not a Name: that of policies which are given none is "all".
Family = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
# A file of the folder itself.
GgufFile = Annotated[str, StringConstraints(pattern=r"^[^./\\][^/\\]*[.]gguf$", max_length=200)]
Tag = Annotated[str, StringConstraints(pattern=r"\S")]


class ModelSize(Entry):
    """Of a model whose work is imported: what its FLOPs depend on."""

    parameters: Count
    """Distinct parameters, those of tied matrices once."""
    layers: Count
    """Transformer blocks."""
    attention_width: Count
    """Query heads times their dimension."""
    active_parameters: Count | None = None
    """Of a mixture of experts, the parameters that one token meets; all of them if left out."""
    kv_width: Count | None = None
    """Numbers that a token leaves in one layer's cache: 2 times key-value heads times their dimension. What
    `kv_bytes` needs."""

    @model_validator(mode="after")
    def _part_of_all(self) -> Self:
        if self.active_parameters is not None and self.active_parameters > self.parameters:
            raise ValueError("active_parameters are more than parameters")
        return self


class TokenPrices(Entry):
    """What a model's tokens cost, in US dollars per million of them."""

    input: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    """Tokens that the model reads."""
    cached: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Tokens of a prompt that it has read before, as every sample after a problem's first has; as input if
    left out."""
    output: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Tokens that it writes, thinking included."""


class Server(Entry):
    """A running OpenAI-compatible endpoint of vLLM or SGLang. Changing it repeats nothing."""

    url: Address
    """Where its `/completions` is, usually with `/v1` at the end: `http://127.0.0.1:8000/v1`."""
    name: Text | None = None
    """Under what name it serves the model, if not that of `model`."""
    concurrency: Count = 256
    """Requests in flight at once, and at most `engine_settings.batch_size`."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds after which a request counts as failed, its time in the server's queue included."""
    retries: Annotated[int, Field(ge=0, le=100)] = 6
    """How often a request is made again, after 1, 2, 4 ... up to 60 seconds, when the server cannot be
    reached, is too busy, breaks down or takes too long."""
    key_variable: Variable = "ISOFLOP_API_KEY"
    """The environment variable that has the server's API key, where it wants one: a name in capitals."""


class EngineSettings(Entry):
    """How the engines run. None of this changes a result, so none of it makes anything rerun."""

    batch_size: Count = 512
    """Requests that a policy has in flight at once."""
    batch_tokens: Count = 8192
    """Tokens that a verifier reads in one pass."""
    chunk_problems: Count = 25
    """Problems per chunk, of which a killed run repeats at most one."""
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    """CPU threads of a sampling or scoring job."""
    reuse: bool = True
    """Whether samples, chains, searches and scores that are finished already are taken up, from a table's
    former version and from other experiments; `false` computes them again, as to measure seconds anew."""
    allow_unsandboxed: bool = False
    """Whether programs that a model wrote may run where bubblewrap is not usable: under resource limits, with
    few system calls and, from Linux 6.2 on, out of reach of your files; as root nowhere else."""
    container: Text | None = None
    """Image that jobs run in with `--sdm apptainer`: a file, or an address such as `docker://…`
    (docs/how-to/container.md)."""


def checkpoint_name(model: str, revision: str | None) -> str:
    """What a checkpoint goes by among the settings of a machine."""
    return model if revision is None else f"{model}@{revision}"


class Model(Entry):
    """What all models that may run here have in common: where they are, and what runs them."""

    model: Text | None = None
    """Folder with a Hugging Face checkpoint, seen from the working directory or, one that isoflop ships
    (`resources/…`), from the Snakefile; or hub id `owner/name`."""
    revision: Revision | None = None
    """Commit of a hub model: 40 hexadecimal digits; none for a folder."""
    gguf_file: GgufFile | None = None
    """A GGUF file in that folder or repository, which is the whole checkpoint: it is dequantised to `dtype`
    (docs/how-to/add-a-model.md)."""
    package: Text | None = None
    """An installed Python package that brings `gguf_file`, instead of `model`."""
    sha256: Sha256 | None = None
    """SHA-256 of `gguf_file`; needed where a package brings it."""
    trained: Name | None = None
    """Name of an entry of `training`, instead of `model`."""
    engine: Engine = "transformers"
    """What runs it: transformers anywhere, vLLM (docs/how-to/vllm.md), or a server that is running already
    (docs/how-to/server.md), whose `dtype` and `quantization` are then to be those given here."""
    dtype: Dtype = "float32"
    """Precision of the weights; float32 results of engine transformers do not depend on the batch (samples of
    large policies: see `exact`)."""
    max_length: Count | None = None
    """Longest prompt and solution together in tokens, where that is to be less than the model's own limit."""
    quantization: Text | None = None
    """With engine vllm: how weights are quantised, where the checkpoint does not say."""
    gpus: Count = 1
    """With engine vllm: GPUs that a copy of the model is spread over. No result depends on it."""
    memory_share: Share = 0.9
    """With engine vllm: share of each GPU's memory for weights, keys and values. No result depends on it."""

    @model_validator(mode="after")
    def _whole_file(self) -> Self:
        if self.gguf_file is None:
            if self.package is not None or self.sha256 is not None:
                key = "sha256" if self.package is None else "package"
                raise ValueError(f"{key} goes with gguf_file: the name of a GGUF file")
        elif self.sha256 == UNPINNED:
            raise ValueError("sha256 of a GGUF file is not asked for; write what sha256sum FILE says")
        elif self.package is not None and self.sha256 is None:
            raise ValueError("sha256 is missing: what a package brings is known by its sum (sha256sum FILE)")
        elif self.engine != "transformers":
            raise ValueError(f"gguf_file goes with engine: transformers, and the engine is {self.engine}")
        return self

    @property
    def checkpoint(self) -> str:
        """Which weights these are: folder, hub id or package, with its commit and file."""
        name = checkpoint_name(str(self.model or self.package), self.revision)
        return name if self.gguf_file is None else f"{name}/{self.gguf_file}"


class Chat(Entry):
    """What may be said in a chat template."""

    chat: bool = False
    """Whether the texts are the messages of a chat, in the model's chat template."""
    system: Text | None = None
    """The chat's system message."""

    @model_validator(mode="after")
    def _chats(self) -> Self:
        if self.system is not None and not self.chat:
            raise ValueError("system goes with chat: true")
        return self


class Policy(Chat, Model):
    """A model that writes solutions: a checkpoint, or the size of one whose solutions are imported."""

    size: ModelSize | None = None
    """Size of a model that does not run here, instead of `model`; for generators of kind `import`."""
    hosted: bool = False
    """Instead of all three: a hosted model whose size nobody tells, whose solutions are imported. It has no
    FLOPs, and is in no law of size."""
    prices: TokenPrices | None = None
    """What its tokens cost; for the cost model `dollars`."""
    prompt: Prompt = "{problem}\n"
    """What the model continues, with `{problem}` where the problem goes; in a chat, the user's part."""
    chat_template: Text | None = None
    """A Jinja chat template instead of the tokenizer's own."""
    step_separator: Text = "\n"
    """What ends a step of a solution."""
    step_tag: Tag | None = None
    """What the model itself writes at the end of every step, where it learnt to. It continues from its tags;
    neither graders nor verifiers see them."""
    datasets: Annotated[tuple[Name, ...], Field(min_length=1)] | None = None
    """Entries of `datasets` that it is studied on; all that are studied if left out."""
    family: Family = "all"
    """The family it belongs to: sizes are compared, and laws of size fitted, inside one family only."""
    assumed: bool = False
    """Whether imported solutions came without the name of the model that wrote them; the report says so."""
    server: Server | None = None
    """With engine server: where it is. No result depends on it."""
    exact: Literal["auto"] | bool = "auto"
    """With engine transformers in float32: whether choices that rounding could change are made again in
    float64, so that no sample depends on the batch it is drawn in (docs/design/exactness.md). `auto` does it
    for models of up to 50 million parameters; in larger ones it costs more than all the rest, so it is not
    done there, and the report says so."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if [self.model, self.package, self.trained, self.size, self.hosted or None].count(None) != 4:
            raise ValueError(
                "give one of model (a folder or hub id), package (that brings a GGUF file), trained (an "
                "entry of training) and size (of a model whose work is imported; hosted: true where nobody "
                "tells it)"
            )
        if self.model is None and self.revision is not None:
            raise ValueError("revision goes with a hub model; a trained or imported one has none")
        if self.gguf_file is not None and self.model is None and self.package is None:
            raise ValueError("gguf_file goes with model or package")
        if self.runs and self.assumed:
            raise ValueError("assumed is for imported solutions, of a policy with a size, or a hosted one")
        if self.chat_template is not None and not self.chat:
            raise ValueError("chat_template goes with chat: true")
        return self

    @property
    def runs(self) -> bool:
        """Whether there is a checkpoint to run."""
        return self.size is None and not self.hosted
