"""isoflop: language models sampled at every budget, scored, selected; curves, scaling laws, report.

The config decides everything (docs/reference/config.md); `PLAN` knows the jobs and their specifications.
"""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

# The package beside this file, for plans as for jobs; the installed one where there is none.
HERE = Path(str(workflow.current_basedir))
SOURCES = HERE / "src" if (HERE / "src" / "isoflop").is_dir() else None
if SOURCES is not None:
    sys.path.insert(0, str(SOURCES))

from isoflop.errors import UserError

try:
    # The first to import other packages' searches, verifiers and so on, which may break.
    from isoflop.config.loading import default_config, load_config, load_given
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
from isoflop.pipeline.plan_verifiers import VerifierPlan
from isoflop.pipeline.pools import Pool
from isoflop.stages.shared.former import check_not_former

min_version("9.8")

SETTINGS = workflow.config_settings
# Another workflow uses this one as a module, and says what its config is.
AS_MODULE = workflow.modifier.skip_configfile
try:
    if AS_MODULE:
        CONFIG = load_given(
            config, workflow.configfiles, SETTINGS.config, unpinned=True
        )
    else:
        CONFIG = load_config(
            SETTINGS.configfiles or [default_config(HERE)],
            overrides=SETTINGS.config,
            unpinned=True,
        )
    PLAN = Plan(CONFIG)
    check_not_former(Path(PLAN.results))
except UserError as error:
    raise WorkflowError(str(error)) from None

COUNTED = CountsPlan(PLAN)
CHOICE = ChoicePlan(PLAN)
REVISIONS = RevisionPlan(PLAN)
JUDGED = VerifierPlan(PLAN)
REPORT_PLAN = ReportPlan(PLAN)


report: "workflow/report/workflow.rst"


if CONFIG.engine_settings.container is not None:

    container: CONFIG.engine_settings.container


# First, so that it is what is made where no target is named; the target of a workflow that uses this one stays.
rule all:
    input:
        REPORT_PLAN.targets(),
        CHOICE.difficulties(),
        CHOICE.tables(),
        REVISIONS.table(),
        JUDGED.tables(),


include: "workflow/rules/common.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/candidates.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/report.smk"


# Not while parsing, so that a dry run works with unpinned models and files.
onstart:
    check_start()
    check_models()
