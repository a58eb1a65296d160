"""What a forecast of an experiment rests on, from its plan."""

from isoflop.config.imports.entries import Import
from isoflop.config.models import Policy
from isoflop.config.planning import ModelUse
from isoflop.config.verifiers import ImportedVerifier, RunningVerifier
from isoflop.forecast.study_comparisons import study_comparisons
from isoflop.forecast.work import PlanComparisonSpec, StudyWork
from isoflop.pipeline.code_digest import code_digest, plugins
from isoflop.pipeline.plan import Plan
from isoflop.registries import SEARCHES
from isoflop.specs import canonical


def comparison_spec(plan: Plan) -> str:
    """Specification of the plan beside what was measured."""
    return canonical(
        PlanComparisonSpec(
            experiment=plan.config.experiment,
            work=study_work(plan),
            code=code_digest("isoflop.stages.plan_comparison"),
            plugins=plugins((SEARCHES, [entry.kind for entry in plan.config.searches.values()])),
        )
    )


def study_work(plan: Plan) -> StudyWork:
    """What a forecast of the study needs to know; settings of the machine are no part of it."""
    config = plan.config
    generators = {name: entry for name, entry in config.generators.items() if not isinstance(entry, Import)}
    limits = {
        name: entry.only.at_most for name, entry in generators.items() if entry.only and entry.only.at_most
    }
    return StudyWork(
        datasets=config.studied_datasets if generators else (),
        policies={name: _use(plan, entry) for name, entry in config.policies.items() if entry.runs},
        verifiers={
            name: _use(plan, entry)
            for name, entry in config.verifiers.items()
            if not isinstance(entry, ImportedVerifier)
        },
        # What limits a generator is told by the pools.
        generators={name: entry.model_copy(update={"only": None}) for name, entry in generators.items()},
        pools=tuple(
            (pool.dataset, pool.policy, pool.generator)
            for pool in plan.pools.all()
            if pool.generator in generators
        ),
        verifiers_of={name: plan.pools.verifiers(name) for name in generators},
        at_most=limits,
        comparisons=tuple(study_comparisons(plan)),
        planning=config.planning,
    )


def _use(plan: Plan, entry: Policy | RunningVerifier) -> ModelUse:
    model = plan.paths.trained(entry.trained) if entry.trained else entry.model or entry.package
    assert model is not None  # what runs is somewhere
    return ModelUse(
        model=model,
        revision=entry.revision,
        engine=entry.engine,
        dtype=entry.dtype,
        quantization=entry.quantization,
        history=entry.shown_attempts if isinstance(entry, RunningVerifier) else 0,
    )
