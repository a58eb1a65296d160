"""isoflop: language models sampled at every budget, scored, selected; curves, scaling laws, report.

The config decides everything (docs/reference/config.md); `PLAN` knows the jobs and their specifications.
"""

from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from isoflop.errors import UserError

try:
    # The first to import other packages' searches, verifiers and so on, which may break.
    from isoflop.config.loading import load_config
except UserError as error:
    raise WorkflowError(str(error)) from None

from isoflop.config.checks import rule_name, unpinned
from isoflop.forecast.study_work import comparison_spec
from isoflop.files import times_of
from isoflop.pipeline.paths import (
    CANDIDATES,
    CHAIN_CREDITS,
    CHAIN_LABELS,
    CHAIN_LABELS_ALONE,
    CHAIN_SECONDS,
    CREDITS,
    DIFFICULTY,
    GRADES,
    LABELS,
    PROBLEMS,
    SCORES,
    SECONDS,
    TRAINED,
    TRAJECTORIES,
    TREES,
    ledger_of,
    part_of,
    times_beside,
)
from isoflop.pipeline.plan import Plan
from isoflop.pipeline.plan_counts import CountsPlan
from isoflop.pipeline.plan_allocation import ChoicePlan
from isoflop.pipeline.plan_report import PLANNED_FILES, TIME_FILES, ReportPlan
from isoflop.pipeline.plan_revisions import RevisionPlan
from isoflop.pipeline.pools import Pool
from isoflop.stages.shared.former import check_not_former

min_version("9.8")

try:
    CONFIG = load_config(
        workflow.config_settings.configfiles or ["config.yaml"],
        overrides=workflow.config_settings.config,
        unpinned=True,
    )
    PLAN = Plan(CONFIG)
    check_not_former(Path(PLAN.results))
except UserError as error:
    raise WorkflowError(str(error)) from None

COUNTED = CountsPlan(PLAN)
CHOICE = ChoicePlan(PLAN)
REVISIONS = RevisionPlan(PLAN)
REPORT_PLAN = ReportPlan(PLAN)


# Checked here and not while parsing, so that a dry run works with unpinned models and files.
onstart:
    if faults := unpinned(CONFIG):
        raise WorkflowError("\n".join(faults))
    from isoflop.report.finished import check_files

    try:
        check_files(CONFIG.experiment)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    check_models()


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/candidates.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        REPORT_PLAN.targets(),
        CHOICE.difficulties(),
        CHOICE.tables(),
        REVISIONS.table(),
