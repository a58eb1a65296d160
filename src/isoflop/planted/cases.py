"""The planted worlds that verdicts are measured in (docs/design/verdicts.md), each with what its study names.

Four policies of one family, unless a world says otherwise; every search is run three times per problem, and
its gains vary from problem to problem also where it gains nothing on average.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from isoflop.claims.setting import Setting
from isoflop.planted.worlds import Best, Greedy, Lift, Planted, PlantedPolicy, Rule, Vote, World
from isoflop.strategy import NONE, Strategy

BUDGETS = (1, 2, 4, 8, 16, 32, 64)
SEARCHED = (4, 16, 64)
RUNS = 3
# Standard deviation, in log odds, of what is easy or hard for one search alone.
OWN = 0.7
MARGIN = 0.01

POLICIES = (
    PlantedPolicy("1M", 1e6, -1.0),
    PlantedPolicy("3M", 3e6, -0.3),
    PlantedPolicy("10M", 1e7, 0.4),
    PlantedPolicy("30M", 3e7, 1.0),
)
VERIFIER = "prm"
HEADLINE = Strategy("sampling", "weighted", VERIFIER, "last")
GREEDY = Strategy("greedy", NONE)
MAJORITY = Strategy("sampling", "majority")
BEST = replace(HEADLINE, selector="best_of_n")
PASS = Strategy("sampling", "pass")
SEARCHES: Mapping[str, str] = {"rebase": "rebase", "beam": "beam", "mcts": "mcts"}

_MAJORITY = Vote()
_WEIGHTED = Vote(weight=1.3)
_FLAT = Vote(weight=1.3, cap=8)
_SCORED = Best(lead=1.0)


@dataclass(frozen=True)
class Case:
    """A world, and the numbers of problems at which it is studied.

    `thorough`: the best choice and fits too. `families`: of strategies between which is chosen by difficulty
    (isoflop.planted.choices); such a world is studied for Snell et al.'s claims alone.
    """

    world: World
    problems: tuple[int, ...]
    thorough: bool = False
    families: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The world's."""
        return self.world.name


def setting(world: World) -> Setting:
    """What claims about a study of this world are about."""
    strategies = tuple(one.strategy for one in world.strategies if one.strategy.selector != "pass")
    return Setting(
        policies=[policy.name for policy in world.policies],
        families={policy.name: policy.family for policy in world.policies},
        parameters={policy.name: int(policy.parameters) for policy in world.policies},
        searches={one.generator: SEARCHES[one.generator] for one in strategies if one.generator in SEARCHES},
        strategies=strategies,
        headline=HEADLINE,
        margin=MARGIN,
    )


def world(
    name: str,
    *,
    headline: Rule = _WEIGHTED,
    majority: Rule = _MAJORITY,
    best: Rule = _SCORED,
    searched: Mapping[str, Lift] | None = None,
    policies: tuple[PlantedPolicy, ...] = POLICIES,
    lifts: Mapping[tuple[str, str], Lift] | None = None,
    searches: Iterable[str] = SEARCHES,
) -> World:
    """A world of sampling with every selector, greedy decoding and searches like weighted voting.

    `searched`: what each search adds to weighted voting over as many samples.
    """
    pooled = [
        Planted(MAJORITY, BUDGETS, majority),
        Planted(HEADLINE, BUDGETS, headline, verified=True),
        Planted(BEST, BUDGETS, best, verified=True),
        Planted(PASS, BUDGETS, Vote(any_right=True)),
    ]
    alone = [Planted(GREEDY, (1,), Greedy(), runs=1)]
    for name_of in searches:
        lift = (searched or {}).get(name_of, Lift())
        for selector, rule in (("weighted", headline), ("majority", majority)):
            strategy = replace(HEADLINE if selector == "weighted" else MAJORITY, generator=name_of)
            alone.append(Planted(strategy, SEARCHED, rule, lift, runs=RUNS, own=OWN, verified=True))
    return World(name, policies, (*alone, *pooled), lifts=lifts or {})


def cases() -> list[Case]:
    """Every world of the bench."""
    alike = world("alike", majority=_WEIGHTED, best=_WEIGHTED)
    found = [
        Case(alike, (60, 300)),
        Case(world("plateau", headline=_FLAT, majority=_FLAT, best=_FLAT), (200, 500)),
        Case(world("saturating"), (300,), thorough=True),
        Case(world("rising", headline=_SCORED), (300,), thorough=True),
        Case(world("scores say nothing", headline=_FLAT, best=Best(lead=0.0)), (200, 500)),
        Case(world("over-optimised", best=Best(lead=1.0, fooled=0.03)), (200, 500)),
        Case(world("over-optimised a little", best=Best(lead=1.0, fooled=0.02)), (500,)),
    ]
    for points in (1, 2, 4, 5, 6):
        lift = {"rebase": Lift(points / 100), "mcts": Lift(-points / 100)}
        sizes = (500,) if points == 5 else (200, 500, 1319)
        name = f"REBASE {points} better, MCTS {points} worse"
        # Selectors are alike, so that no other strategy is better than REBASE.
        found.append(Case(world(name, majority=_WEIGHTED, best=_WEIGHTED, searched=lift), sizes))
    late = {"rebase": Lift(0.04, late=-0.08)}
    found.append(Case(world("REBASE 4 better at first, 4 worse at last", searched=late), (500,)))
    mixed = {
        (policy.name, "rebase"): Lift(0.04 if place % 2 else -0.04) for place, policy in enumerate(POLICIES)
    }
    found.append(Case(world("REBASE 4 better for two, 4 worse for two", lifts=mixed), (500,)))
    hard = Lift(0.04, by_level=(0.0, 0.5, 1.0, 1.5, 2.0))
    found.append(Case(world("REBASE 4 better, more on hard", searched={"rebase": hard}), (500, 1319)))
    easy = replace(hard, by_level=tuple(reversed(hard.by_level)))
    found.append(Case(world("REBASE 4 better, more on easy", searched={"rebase": easy}), (500,)))
    for correlation, noise in ((0.5, 2.0), (0.8, 1.0), (0.95, 0.4588)):
        equal = tuple(PlantedPolicy(name, size, 0.0, noise) for name, size in (("1M", 1e6), ("4M", 4e6)))
        found.append(
            Case(world(f"equal models, correlation {correlation:g}", policies=equal, searches=()), (300,))
        )
    return [*found, *_laws(), *_choices()]


def _laws() -> list[Case]:
    """Worlds about the best size: curves that cross, and sizes that pay as soon as they are affordable."""
    apart = (-3.0, -1.5, 0.0, 1.5, 3.0)
    near = (-1.0, -0.55, -0.1, 0.35, 0.8)
    sizes = (1e6, 3e6, 1e7, 3e7, 1e8)
    named = [f"{size / 1e6:g}M" for size in sizes]
    prices = tuple(PlantedPolicy(n, s, a) for n, s, a in zip(named, sizes, apart, strict=True))
    crossing = tuple(PlantedPolicy(n, s, a) for n, s, a in zip(named, sizes, near, strict=True))
    return [
        Case(world("entry prices only", policies=prices, searches=()), (200, 500)),
        Case(world("sizes cross", headline=_SCORED, policies=crossing, searches=()), (200, 500, 1319)),
    ]


FAMILIES = {"searches": ("sampling", "beam", "lookahead"), "revisions": ("revisions/1", "revisions/4")}


def choice_world(name: str, rule: Best, greedy: Greedy, lifts: Mapping[str, Lift] | None = None) -> World:
    """Two equally good models, of which one counts as four times the other's size.

    Best-of-n, beam and lookahead search, parallel and sequential revisions are alike but for `lifts`.
    """
    alone = [Planted(GREEDY, (1,), greedy, runs=1)]
    for generator, budgets in (
        ("beam", SEARCHED),
        ("lookahead", SEARCHED),
        ("revisions/1", SEARCHED[:2]),
        ("revisions/4", SEARCHED[:2]),
    ):
        lift = (lifts or {}).get(generator, Lift())
        strategy = replace(BEST, generator=generator)
        alone.append(Planted(strategy, budgets, rule, lift, runs=RUNS, own=OWN, verified=True))
    equal = (PlantedPolicy("1M", 1e6), PlantedPolicy("4M", 4e6))
    return World(name, equal, (*alone, Planted(BEST, BUDGETS, rule, verified=True)))


def _choices() -> list[Case]:
    better = {"beam": Lift(0.04, late=-0.08), "lookahead": Lift(-0.04), "revisions/4": Lift(0.04)}
    return [
        Case(choice_world("choices: nothing helps", Best(0.0), Greedy(1.0)), (300,), families=FAMILIES),
        Case(choice_world("choices: alike", _SCORED, Greedy()), (300,), families=FAMILIES),
        Case(
            choice_world("choices: beam 4 better at first, 4 worse at last", _SCORED, Greedy(), better),
            (300,),
            families=FAMILIES,
        ),
    ]
