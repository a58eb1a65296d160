"""What the cost of a model's token depends on: counted from its checkpoint, or agreed with who runs it."""

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)


class ModelShape(BaseModel):
    """What the cost of a transformer's token depends on, counted from its checkpoint.

    Attributes
    ----------
    parameters
        Distinct parameters, those shared by tied matrices counted once.
    embedding_parameters
        How many of them are token or position embeddings.
    layers
        Transformer blocks.
    attention_width
        Query heads times head dimension (d_attn of Kaplan et al. 2020); where keys and values are of
        different widths, the mean of both.
    active_parameters
        Of a mixture of experts, how many of its parameters a token meets, the router and shared experts among
        them; None where it meets all.
    kv_width
        Numbers that a token leaves in one layer's cache of keys and values (2 times key-value heads times
        head dimension); None where that is not known, or not the same in every layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    parameters: int = Field(gt=0)
    embedding_parameters: int = Field(ge=0)
    layers: int = Field(gt=0)
    attention_width: int = Field(gt=0)
    active_parameters: int | None = Field(default=None, gt=0)
    kv_width: int | None = Field(default=None, gt=0)

    @property
    def active(self) -> int:
        """N of 2 N FLOPs per token: the parameters that a token meets."""
        return self.parameters if self.active_parameters is None else self.active_parameters

    def with_more(self, parameters: int, layers: int = 0) -> Self:
        """The shape with further parameters that every token meets.

        Parameters
        ----------
        parameters
            How many more.
        layers
            How many layers they add.
        """
        more: dict[str, int] = {"parameters": self.parameters + parameters, "layers": self.layers + layers}
        if self.active_parameters is not None:
            more["active_parameters"] = self.active_parameters + parameters
        return self.model_copy(update=more)

    @model_validator(mode="after")
    def _parts_are_parameters(self) -> Self:
        for name in ("embedding_parameters", "active_parameters"):
            part = getattr(self, name)
            if part is not None and part > self.parameters:
                raise ValueError(f"{name} ({part}) exceed parameters ({self.parameters})")
        return self

    @model_serializer(mode="wrap")
    def _known(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is not known, as it was written before there was such a key."""
        return {name: value for name, value in handler(self).items() if value is not None}


class Prices(BaseModel):
    """What a model's tokens cost, in US dollars per million of them.

    Attributes
    ----------
    input
        Of prompts.
    cached
        Of prompts that the provider has read before.
    output
        Of generated tokens, thinking included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(ge=0, allow_inf_nan=False)
    cached: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)


class Terms(BaseModel):
    """What a model's work is charged by besides its shape.

    Attributes
    ----------
    prices
        Of its tokens; None where nobody says.
    value_bytes
        Bytes per number of its cache of keys and values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prices: Prices | None = None
    value_bytes: int = Field(default=2, gt=0)
