"""The command `isoflop`: what one can do with an experiment, a subcommand each.

Every subcommand imports what it needs when it is called, so that `isoflop --help` loads no library.
"""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from isoflop.errors import UserError, run_main

if TYPE_CHECKING:
    from isoflop.config.study import Config

_SNAKEMAKE = ("run", "rehearse")
# Where one of these is given, how many cores to use is said already.
_CORES = ("--cores", "-c", "--jobs", "-j", "--profile", "-n", "--dry")
# With these Snakemake makes nothing of what is there.
_NO_RUN = ("--unlock", "--touch", "-t", "--delete", "--cleanup", "--lint", "--list", "-n", "--dry")
# Jobs in other places or environments than this process.
_ELSEWHERE = (
    *("--executor", "-e", "--profile", "--workflow-profile"),
    *("--sdm", "--software-deployment-method", "--use-"),
)


class Command(NamedTuple):
    """A subcommand: its line in the table of contents, its arguments, and what it does."""

    summary: str
    arguments: Callable[[argparse.ArgumentParser], object]
    action: Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str]) -> None:
    """Do what the arguments say. Raises UserError on bad input, SystemExit on wrong arguments or for help."""
    own, to_snakemake = list(arguments), []
    if "--" in own:
        place = own.index("--")
        own, to_snakemake = own[:place], own[place + 1 :]
    options = _parser().parse_args(own)
    if options.command in _SNAKEMAKE:
        options.snakemake = [*getattr(options, "snakemake", []), *to_snakemake]
    elif to_snakemake:
        raise UserError(f"isoflop {options.command}: nothing may follow --")
    COMMANDS[options.command].action(options)


def entry() -> None:
    """The console script: a fault is one line and exit code 2."""
    run_main(main)


class _Parser(argparse.ArgumentParser):
    """Names a wrong argument in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} ({self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    contents = "\n\n".join(
        "\n".join([title, *(f"  {name:<10}{COMMANDS[name].summary}" for name in names)])
        for title, names in CONTENTS.items()
    )
    parser = _Parser(
        prog="isoflop",
        usage="isoflop COMMAND ...",
        description="How to spend inference compute: check and plan an experiment, run it, read it.\n\n"
        f"{contents}\n\nisoflop COMMAND --help says more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)
    inner = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS, parser_class=_Parser
    )
    for name, command in COMMANDS.items():
        one = inner.add_parser(name, prog=f"isoflop {name}", description=f"{command.summary}.")
        command.arguments(one)
    return parser


def snakemake_command(config_files: Sequence[str], further: Sequence[str]) -> list[str]:
    """Snakemake on config files, on all cores unless `further` arguments say how many.

    Raises UserError where those name config files too.
    """
    if any(one.startswith("--configfile") for one in further):
        raise UserError("--configfile: name all config files first, later ones on top")
    cores = [] if any(one.startswith(_CORES) for one in further) else ["--cores", "all"]
    # Config files last: what follows them would be taken for one of them.
    return [sys.executable, "-m", "snakemake", *cores, *further, "--configfile", *config_files]


def _one_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG")


def _configs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("configs", nargs="+", metavar="CONFIG", help="config files, later ones on top")


def _run_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "isoflop run CONFIG [CONFIG ...] [SNAKEMAKE ARGUMENTS]"
    parser.add_argument("config", metavar="CONFIG", help="config files, later ones on top")
    parser.add_argument(
        "snakemake", nargs=argparse.REMAINDER, metavar="...", help="what follows goes to snakemake"
    )


def _run(options: argparse.Namespace) -> None:
    elsewhere = ("-s", "--snakefile", "-d", "--directory")
    if not Path("Snakefile").is_file() and not any(one.startswith(elsewhere) for one in options.snakemake):
        raise UserError("there is no Snakefile here; run this in a clone of isoflop")
    further = list(options.snakemake)
    files = [options.config]
    while further and further[0].endswith((".yaml", ".yml")):
        files.append(further.pop(0))
    for file in files:
        if not Path(file).is_file():
            raise UserError(f"{file}: there is no such config")
    command = snakemake_command(files, further)
    if not any(one.startswith((*elsewhere, *_NO_RUN)) for one in further):
        from isoflop.report.finished import check_files  # noqa: PLC0415

        config = _load(files)
        check_files(config.experiment)
        os.environ.update(_warm(config, further))
    # In the place of this process: signals, output and exit code are snakemake's.
    os.execv(command[0], command)


def _warm(config: "Config", further: Sequence[str]) -> dict[str, str]:
    """The environment in which stages start warm, where models run here, on the processor."""
    from isoflop.config.verifiers import ImportedVerifier  # noqa: PLC0415
    from isoflop.stages.shared.gpus import named_devices  # noqa: PLC0415
    from isoflop.stages.shared.warm import available, warm_for_this_process  # noqa: PLC0415

    entries = (*config.policies.values(), *config.verifiers.values())
    engines = {entry.engine for entry in entries if not isinstance(entry, ImportedVerifier) and entry.runs}
    elsewhere = any(one.startswith(_ELSEWHERE) for one in further)
    if not available() or elsewhere or "transformers" not in engines or "vllm" in engines or named_devices():
        return {}
    # Where the report is there, perhaps nothing is to be done.
    return warm_for_this_process(at_once=not Path(f"results/{config.experiment}/report.html").is_file())


def _load(
    files: Sequence[str], overrides: Mapping[str, Any] | None = None, *, unpinned: bool = True
) -> "Config":
    from isoflop.config.loading import load_config  # noqa: PLC0415

    return load_config(files, overrides, unpinned=unpinned)


def _show(options: argparse.Namespace) -> None:
    from isoflop.report.finished import finished  # noqa: PLC0415

    print(finished(_load(options.configs, unpinned=False)))


def _upgrade(options: argparse.Namespace) -> None:
    from isoflop.stages.shared.former import split_former  # noqa: PLC0415

    experiment = _load(options.configs).experiment
    count = split_former(Path("results") / experiment)
    print(f"{count} files of an earlier version brought to this one's layout; nothing was computed")


def _check_arguments(parser: argparse.ArgumentParser) -> None:
    _configs(parser)
    parser.add_argument(
        "--models",
        action="store_true",
        help="look at the models too: tokenizers, architectures, names of tensors (no weights)",
    )


def _check(options: argparse.Namespace) -> None:
    from isoflop.config.checks import unpinned  # noqa: PLC0415
    from isoflop.pipeline.preflight import at_a_glance  # noqa: PLC0415

    config = _load(options.configs)
    files = ", ".join(options.configs)
    if options.models:
        _check_models(config, files)
    print(f"{files}: experiment {config.experiment} has no faults")
    if gaps := unpinned(config):
        print(f"{len(gaps)} of its values are unpinned, which a run needs (isoflop pin)")
    if missing := at_a_glance(config, Path()):
        print("\n  ".join(["what a run needs and is not here:", *missing]))


def _check_models(config: "Config", files: str) -> None:
    from isoflop.forecast.study_work import comparison_spec  # noqa: PLC0415
    from isoflop.pipeline.jobs import needed_jobs  # noqa: PLC0415
    from isoflop.pipeline.plan import Plan  # noqa: PLC0415
    from isoflop.pipeline.preflight import check_models_spec  # noqa: PLC0415
    from isoflop.specs import CheckModelsSpec  # noqa: PLC0415
    from isoflop.stages.check_models import check_jobs  # noqa: PLC0415

    plan = Plan(config)
    jobs = needed_jobs(plan, comparison_spec(plan) if config.studies else None)
    spec = check_models_spec([(job.stage, job.spec) for job in jobs], Path())
    if spec is None:
        print(f"{files}: no model runs")
        return
    check_jobs(CheckModelsSpec.model_validate_json(spec))
    print(f"{files}: the models have no faults")


def _diff_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="CONFIG_A")
    parser.add_argument(
        "after", nargs="?", metavar="CONFIG_B", help="without it, CONFIG_A against its finished run"
    )


def _diff(options: argparse.Namespace) -> None:
    from isoflop.forecast.changes import as_recorded, told  # noqa: PLC0415
    from isoflop.report.finished import recorded_config  # noqa: PLC0415

    first = _load([options.before])
    if options.after is None:
        print(told(as_recorded(recorded_config(first.experiment), first), first))
    else:
        print(told(first, _load([options.after])))


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    _configs(parser)
    parser.add_argument("--config", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table")
    parser.add_argument("--offline", action="store_true", help="do not ask the hub for sizes of models")


def _plan(options: argparse.Namespace) -> None:
    from isoflop.forecast.command import print_forecast  # noqa: PLC0415

    print_forecast(
        _load(options.configs, _overrides(options.config)), options.format, offline=options.offline
    )


def _overrides(values: Sequence[str]) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415

    pairs = [value.partition("=") for value in values]
    wrong = next((key for key, mark, _ in pairs if not mark), None)
    if wrong is not None:
        raise UserError(f"--config: {wrong!r} is not KEY=VALUE")
    try:
        if any(isinstance(event, yaml.AliasEvent) for _, _, text in pairs for event in yaml.parse(text)):
            raise UserError("--config: takes no aliases (*name), of which a few can make endless values")
        # Only the structure is read here; load_config reads the values as a config file has them.
        return {key: yaml.load(text, Loader=yaml.BaseLoader) for key, _, text in pairs}
    except (yaml.YAMLError, RecursionError) as error:
        given, reason = " ".join(values), " ".join(str(error).split())
        raise UserError(f"--config: {given[:200]!r} cannot be read as YAML ({reason})") from error


def _rehearse_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = "isoflop rehearse CONFIG [FOLDER] [--engine vllm] [-- SNAKEMAKE ARGUMENTS]"
    _one_config(parser)
    parser.add_argument(
        "folder", nargs="?", metavar="FOLDER", help="default: results/rehearsal-EXPERIMENT/made"
    )
    parser.add_argument("--engine", choices=("transformers", "vllm"), default="transformers")


def _rehearse(options: argparse.Namespace) -> None:
    from isoflop.rehearsal.run import prepare_checked, rehearse  # noqa: PLC0415

    override_file = prepare_checked(options.config, options.folder, options.engine)
    rehearse(snakemake_command([options.config, str(override_file)], options.snakemake), override_file)


def _pin(options: argparse.Namespace) -> None:
    from isoflop.config.pin import pin  # noqa: PLC0415

    pin(Path(options.config))


def _docs_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", nargs="?", type=Path, default=Path(), metavar="ROOT", help="default: here")


def _docs(options: argparse.Namespace) -> None:
    from isoflop.config.docs import write_reference  # noqa: PLC0415
    from isoflop.prose.api import write_api  # noqa: PLC0415
    from isoflop.prose.pages import write_pages  # noqa: PLC0415

    write_reference(options.root)
    write_api(options.root)
    write_pages(options.root)


COMMANDS = {
    "check": Command("whether a config has faults, each with its key", _check_arguments, _check),
    "diff": Command(
        "which keys differ between two configs, and which jobs that repeats", _diff_arguments, _diff
    ),
    "plan": Command(
        "what an experiment will take and decide: jobs, tokens, FLOPs, GPU-hours, intervals",
        _plan_arguments,
        _plan,
    ),
    "rehearse": Command(
        "all of an experiment with tiny random models and a few invented problems",
        _rehearse_arguments,
        _rehearse,
    ),
    "pin": Command("fill in what a config leaves unpinned, from the Hugging Face hub", _one_config, _pin),
    "run": Command("run an experiment; further arguments go to snakemake", _run_arguments, _run),
    "show": Command("headline, report and tables of a finished experiment", _configs, _show),
    "upgrade": Command(
        "keep an experiment's results of an earlier version of isoflop: split their files", _configs, _upgrade
    ),
    "docs": Command("rewrite README, references and the pages of studies", _docs_arguments, _docs),
}
CONTENTS = {
    "Before a run": ("check", "diff", "plan", "rehearse", "pin"),
    "Run and read": ("run", "show", "upgrade"),
    "For those who change isoflop": ("docs",),
}

if __name__ == "__main__":
    entry()
