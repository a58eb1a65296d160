"""What would run: jobs, paths, specifications, digests, shards."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.pipeline.jobs import StageJob, needed_jobs
    from isoflop.pipeline.plan import Plan
    from isoflop.pipeline.plan_allocation import ChoicePlan
    from isoflop.pipeline.plan_report import ReportPlan
    from isoflop.pipeline.plan_revisions import RevisionPlan
    from isoflop.pipeline.plan_verifiers import VerifierPlan
    from isoflop.pipeline.pools import Pool

__all__ = [
    "ChoicePlan", "Plan", "Pool", "ReportPlan", "RevisionPlan", "StageJob", "VerifierPlan", "needed_jobs",
]  # fmt: skip

face(__name__)
