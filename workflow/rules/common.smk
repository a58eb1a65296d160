import json
import re
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake.io import get_flag_value
from snakemake.settings.types import DeploymentMethod

import isoflop
from isoflop.files import located
from isoflop.stages.shared.gpus import named_devices


def any_of(names):
    """A pattern for one of the names; for none, one that never matches."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def starting():
    """Whether this is the process that is about to run jobs, and not only to tell of them."""
    plugin = workflow.executor_plugin
    dry = plugin is None or plugin.common_settings.dryrun_exec
    return workflow.is_main_process and not dry


@cache
def check_start():
    """End a run whose config names what is not pinned, or whose results are damaged."""
    from isoflop.report.finished import check_files

    if faults := unpinned(CONFIG):
        raise WorkflowError("\n".join(faults))
    try:
        check_files(CONFIG.experiment)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def installed_alone():
    """A folder where the installed package is, and nothing else that conda's environments have already."""
    folder = Path(".snakemake/isoflop/package").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    link, package = folder / "isoflop", Path(isoflop.__file__).parent
    if not (link.is_symlink() and link.samefile(package)):
        link.unlink(missing_ok=True)
        link.symlink_to(package)
    return folder


METHODS = set(workflow.deployment_settings.deployment_method)

if DeploymentMethod.APPTAINER in METHODS:
    if CONFIG.engine_settings.container is None:
        raise WorkflowError(
            "--sdm apptainer: engine_settings.container does not say which image (docs/how-to/container.md)"
        )
    # Jobs run the code that planned them, not that of the image.
    if SOURCES is not None:
        workflow.deployment_settings.apptainer_args += (
            f" --bind {shlex.quote(str(HERE))}:{shlex.quote(str(HERE))}:ro"
        )
elif DeploymentMethod.CONDA in METHODS and SOURCES is None:
    SOURCES = installed_alone()


def exports():
    """What every job's shell command begins with.

    isoflop is found in the environments of conda and of a container too, from the sources beside the Snakefile.
    Without these, jobs use the Python that runs snakemake, activated or not.
    """
    commands = []
    if SOURCES is not None:
        commands.append(f"export PYTHONPATH={shlex.quote(str(SOURCES))}")
    if not METHODS & {DeploymentMethod.CONDA, DeploymentMethod.APPTAINER}:
        programs = shlex.quote(str(Path(sys.executable).parent))
        commands.append(f"export PATH={programs}:$PATH")
    return "".join(f"{command}; " for command in commands)


def literal(text):
    """Text of a shell command with its braces escaped, so that Snakemake fills nothing in."""
    return text.replace("{", "{{").replace("}", "}}")


SETUP = literal(exports())


def own(files):
    """Files that the config names, and folders of models that the experiment trains.

    The former are where they are, also under a module's prefix or with a storage, which hold what jobs make.
    """
    # Of a module nothing runs at the start; inputs are asked for once it is known whether jobs will run.
    if AS_MODULE and starting():
        check_start()
        check_models_later()
    made = f"{PLAN.results}/"
    return [
        file if file.startswith(made) else local(str(located(file))) for file in files
    ]


# A job's own resources, as Snakemake has lowered them to what the machine has.
OF_THE_JOB = {
    "gpus": "{resources.gpu}",
    "batch_size": "{resources.batch_size}",
    "batch_tokens": "{resources.batch_tokens}",
    "chunk_problems": "{resources.chunk_problems}",
    "graders": "{threads}",
    "drawers": "{threads}",
}


def runtime(*settings):
    """What a stage may use of the machine: settings of the job, and those that all jobs have.

    It is filled in with the rest of the shell command when the job runs, so Snakemake keeps no record of it
    and no change of it makes a job run again.
    """
    known = {
        "models": json.loads(PLAN.models.machine()),
        "gpus_given": bool(workflow.remote_exec),
        "allow_unsandboxed": CONFIG.engine_settings.allow_unsandboxed,
    }
    known = {name: value for name, value in known.items() if value}
    if not CONFIG.engine_settings.reuse:
        known["reuse"] = False
    text = literal(
        shlex.quote(json.dumps(known | {name: f"<{name}>" for name in settings}))
    )
    for name in settings:
        text = text.replace(f'"<{name}>"', OF_THE_JOB[name])
    return f" --runtime {text} "


# Where jobs run on this machine, its GPUs are what they share; `--resources gpu=2` leaves some to others.
# Snakemake lowers what a job asks for to that. A training takes a GPU if there is one, or what the config or a
# profile says.
LOCAL = workflow.local_exec and not workflow.remote_exec
TRAINING_GPUS = int(LOCAL)
if LOCAL and PLAN.models.wants_gpus() and workflow.global_resources.get("gpu") is None:
    workflow.register_resource("gpu", len(named_devices() or []))


# Wildcards are the names of the config and nothing else.
wildcard_constraints:
    experiment=any_of([CONFIG.experiment]),
    dataset=any_of(CONFIG.datasets),
    policy=any_of(CONFIG.policies),
    generator=any_of(CONFIG.generators),
    verifier=any_of(CONFIG.verifiers),
    model=any_of(CONFIG.training),
    label=any_of(CONFIG.labels),
    trajectories=any_of(CONFIG.revisions),
    chain_labels=any_of(CONFIG.chain_labels),
    shard=PLAN.paths.shard_pattern(),


def pool_of(w):
    """The pool that a job's wildcards name."""
    return Pool(w.dataset, w.policy, w.generator)


def part(path):
    """An output that may be a part (`path` with `{shard}`); parts are removed when they are merged."""
    return temp(part_of(path)) if CONFIG.shards > 1 else part_of(path)


# What says where the files of this workflow are: a module's prefix, a storage.
PLACES = workflow.modifier.path_modifier


def is_there(path):
    """Whether a file of the workflow is there, wherever a module's prefix or a storage has it."""
    path = PLACES.modify(path)
    stored = get_flag_value(path, "storage_object")
    return Path(path).exists() if stored is None else stored.exists()


def part_inputs(table, **sources):
    """An input function of a table's parts, to unpack; sources are patterns, or functions of the wildcards.

    A part that is gone is made when its table is, whose inputs are the same: the times of its own inputs say
    nothing then, and there may be no record of what they held.
    """

    def inputs(w):
        files = {
            name: source(w) if callable(source) else [source.format(**w)]
            for name, source in sources.items()
        }
        if CONFIG.shards > 1 and not is_there(part_of(table).format(**w)):
            files = {
                name: [ancient(file) for file in made] for name, made in files.items()
            }
        return files

    return inputs


# Which of several jobs that can run comes first: what others wait for, and long ones before short ones, so that
# no core waits for the last of them. Searches, which nothing long waits for, have none of these.
AWAITED, GATHERED, SAMPLED, SCORED = 4, 3, 2, 1
