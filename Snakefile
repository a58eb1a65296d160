"""isoflop: language models sampled at every budget, scored, selected; curves, scaling laws, report.

The config decides everything (docs/reference/config.md); `PLAN` knows the jobs and their specifications.
"""

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from isoflop.config.loading import load_config
from isoflop.config.checks import unpinned
from isoflop.errors import UserError
from isoflop.forecast.study_work import comparison_spec
from isoflop.pipeline.paths import (
    CANDIDATES,
    CHAIN_CREDITS,
    CHAIN_LABELS,
    CHAIN_LABELS_ALONE,
    CREDITS,
    DIFFICULTY,
    GRADES,
    LABELS,
    PROBLEMS,
    SCORES,
    TRAINED,
    TRAJECTORIES,
    TREES,
    ledger_of,
    part_of,
)
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.pipeline.plan_publishing import PublishPlan
from isoflop.pipeline.plan_revisions import RevisionPlan
from isoflop.pipeline.pools import Pool

min_version("9.8")

try:
    CONFIG = load_config(
        workflow.config_settings.configfiles or ["config.yaml"],
        overrides=workflow.config_settings.config,
        unpinned=True,
    )
except UserError as error:
    raise WorkflowError(str(error)) from None

PLAN = Plan(CONFIG)
CHOICE = ChoicePlan(PLAN)
REVISIONS = RevisionPlan(PLAN)
PUBLISH = PublishPlan(PLAN)


# Not before: a dry run asks no hub for anything.
onstart:
    if faults := unpinned(CONFIG):
        raise WorkflowError("\n".join(faults))


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/problems.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/label.smk"
include: "workflow/rules/trajectories.smk"
include: "workflow/rules/chain_labels.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/revise.smk"
include: "workflow/rules/replay.smk"
include: "workflow/rules/counts.smk"
include: "workflow/rules/search.smk"
include: "workflow/rules/gather.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/grade.smk"
include: "workflow/rules/select.smk"
include: "workflow/rules/revision_rates.smk"
include: "workflow/rules/difficulty.smk"
include: "workflow/rules/choose.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/coverage.smk"
include: "workflow/rules/publish.smk"
include: "workflow/rules/plan_comparison.smk"


rule all:
    default_target: True
    input:
        PUBLISH.targets(),
        CHOICE.difficulties(),
        CHOICE.tables(),
        REVISIONS.table(),
