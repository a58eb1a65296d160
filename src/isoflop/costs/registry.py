"""What a cost model computes, and how one is looked up by name.

A cost model is one object in a module of its own in `isoflop.costs.models`, or one that an entry point of the
group `isoflop.cost_models` refers to.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from isoflop.arrays import Floats
from isoflop.costs.work import Work
from isoflop.errors import UserError
from isoflop.registries import COST_MODELS, CostTraits


@dataclass(frozen=True, kw_only=True)
class CostModel(CostTraits, ABC):
    """What work costs.

    All that is charged comes from counts and is a sum over them, so that one method prices a candidate (what
    each further sample of a problem takes), what is paid once per problem (what the first one takes beyond
    that), a whole search, and a chain of revisions.
    """

    @abstractmethod
    def charge(self, work: Work) -> Floats:
        """What the work costs: linear in its counts.

        Parameters
        ----------
        work
            Counts of shapes that broadcast.

        Returns
        -------
        Costs, of that shape; nan where they cannot be known.
        """


def cost_model(name: str) -> CostModel:
    """A cost model by name.

    Parameters
    ----------
    name
        As the config has it.

    Raises
    ------
    UserError
        For an unknown one, or one that has a description only.
    """
    found = COST_MODELS[name]
    if not isinstance(found, CostModel):
        raise UserError(
            f"cost model {name!r}: has only a description; make it an isoflop.costs.registry.CostModel"
        )
    return found
