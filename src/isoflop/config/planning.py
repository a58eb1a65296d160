"""The assumptions of a forecast: none of them is in the specification of anything that a model computes."""

from typing import Annotated, Literal

from pydantic import Field

from isoflop.config.base import Count, Dtype, Entry, Name
from isoflop.config.models import ModelSize

Gpu = Literal["H100-80", "A100-40", "A100-80", "H200", "L4", "L40S", "RTX-4090", "cpu"]
Share = Annotated[float, Field(gt=0, le=1)]
Tokens = Annotated[float, Field(gt=0, le=1_000_000)]
Factor = Annotated[float, Field(ge=1, le=100)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Utilisation(Entry):
    """Share of the roofline that is reached: of peak FLOP/s, or of bandwidth where that is the bound."""

    prefill: Share = 0.5
    """Reading prompts, and verifiers reading solutions."""
    decode: Share = 0.4
    """Writing solutions."""
    training: Share = 0.35
    """Training."""


class Spread(Entry):
    """How far off the forecast may be: GPU-hours range from fewer tokens, faster, to more tokens, slower."""

    tokens: Factor = 1.5
    """Factor of the length of solutions; 1 for lengths that an earlier run measured."""
    speed: Factor = 2.0
    """Factor of the speed."""


class Computed(Entry):
    """Share of the tokens that has to be computed, where an engine computes what texts share only once."""

    policy: Share = 1.0
    """Of generated tokens; benchmarks/engine.py prints it for engine transformers."""
    verifier: Share = 1.0
    """Of the tokens that verifiers read."""


class DatasetLengths(Entry):
    """What is known of one data set's problems."""

    problems: Count | None = None
    """Number of problems, where neither a file here nor a `limit` says."""
    prompt_tokens: Tokens | None = None
    """Tokens of a prompt."""
    solution_tokens: Tokens | None = None
    """Tokens of a solution."""
    steps: Tokens | None = None
    """Steps of a solution."""
    accuracy: Fraction | None = None
    """Accuracy to expect on it."""


class PolicyLengths(Entry):
    """How long one policy's solutions are, and how often right."""

    solution_tokens: Tokens | None = None
    """Tokens of a solution."""
    steps: Tokens | None = None
    """Steps of a solution."""
    accuracy: Fraction | None = None
    """Accuracy to expect of it."""


class Planning(Entry):
    """What `make plan` assumes. No result depends on it; the report compares it with what was measured."""

    gpu: Gpu = "H100-80"
    """The accelerator to plan for; `cpu` is one core."""
    utilisation: Utilisation = Utilisation()
    """Share of the accelerator's speed that is reached."""
    batch_size: Count = 256
    """Solutions written at once; fewer where a chunk or the memory holds fewer."""
    batch_tokens: Count = 8192
    """Tokens read in one pass."""
    pass_seconds: Seconds = 0.005
    """Time of a pass beside the accelerator's: launching it, scheduling."""
    token_seconds: Seconds = 0.00001
    """Time of a generated token beside the accelerator's: choosing it, stop texts."""
    start_seconds: Seconds = 90.0
    """Start of a job's engine and imports."""
    load_bandwidth: Annotated[float, Field(gt=0)] = 1e9
    """Bytes per second at which weights are loaded."""
    problems: Count = 1000
    """Problems of a data set of which nothing says how many it has."""
    prompt_tokens: Tokens = 200.0
    """Tokens of a prompt, where there is no problem to count."""
    characters_per_token: Annotated[float, Field(gt=0, le=20)] = 3.5
    """Characters of a prompt's token, where there are problems but no tokenizer."""
    solution_tokens: Tokens = 400.0
    """Tokens of a solution, unless an earlier run measured them."""
    steps: Tokens = 8.0
    """Steps of a solution, unless an earlier run measured them."""
    right_share: Share = 0.3
    """Share of sampled answers that are right, each of which a trajectory of revisions may end in."""
    accuracy: Fraction = 0.5
    """Accuracy to expect, as a fraction: intervals depend on it, and are widest at 0.5."""
    decide: Fraction = 0.02
    """The difference of accuracies that the study is to decide, as a fraction: 0.02 is 2 points."""
    mark_tokens: Annotated[float, Field(ge=0, le=1000)] = 1.0
    """Tokens that a verifier reads beside each step: its tag, or the turns of a chat."""
    computed: Computed = Computed()
    """What engines need not compute twice."""
    bytes_per_token: Annotated[float, Field(gt=0, le=100)] = 2.0
    """Disk that a written token takes in the tables of candidates and trees."""
    bytes_per_score: Annotated[float, Field(gt=0, le=100)] = 3.0
    """Disk that a step's score takes."""
    spread: Spread = Spread()
    """How wide the range of GPU-hours is."""
    datasets: dict[Name, DatasetLengths] = Field(default_factory=dict)
    """By data set, instead of the values above."""
    policies: dict[Name, PolicyLengths] = Field(default_factory=dict)
    """By policy, instead of the data set's."""
    sizes: dict[Name, ModelSize] = Field(default_factory=dict)
    """Sizes of hub models that are not on this machine, by entry of policies, verifiers or training."""

    def accuracy_of(self, dataset: str, policy: str) -> float:
        """The accuracy to expect of a policy, whatever picks its answer; of the data set, else of all."""
        given = (self.policies.get(policy), self.datasets.get(dataset))
        known = (one.accuracy for one in given if one is not None)
        return next((value for value in known if value is not None), self.accuracy)


class ModelUse(Entry):
    """A model as a forecast sees it: where it is, and what its time and memory depend on."""

    model: str
    """Folder or hub id; for a model that is trained here, the folder that it will be in."""
    revision: str | None = None
    """Commit of a hub model."""
    engine: str = "transformers"
    """What runs it."""
    dtype: Dtype = "float32"
    """Precision of the weights."""
    quantization: str | None = None
    """How weights are quantised."""
    history: int = 0
    """Of a verifier of chains: how many attempts before the judged answer it sees."""
