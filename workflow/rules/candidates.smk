import re


# A ledger's stage writes the measured times beside it: outputs of rules, no arguments of stages.
# The model's files are inputs so that a changed checkpoint samples again; the stage finds them by the spec.
rule sample:
    input:
        unpack(
            part_inputs(
                CANDIDATES,
                problems=PROBLEMS,
                model=lambda w: own(PLAN.models.policy_files(w.policy)),
            )
        ),
    output:
        candidates=part(CANDIDATES),
        ledger=part(ledger_of(CANDIDATES)),
        times=part(times_of(CANDIDATES)),
    log:
        "logs/{experiment}/sample/{dataset}/{policy}/{generator}{shard}.log",
    wildcard_constraints:
        generator=any_of(PLAN.pools.sampled()),
    priority: SAMPLED
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    # Not tracked, as they should be: neither changes a result.
    resources:
        gpu=lambda w: PLAN.models.gpus([w.policy]),
        mem_mb=2000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    # Stages read it from standard input: it may be longer than the 128 KB that Linux allows an argument.
    params:
        spec=lambda w: PLAN.sample(w.policy, w.generator),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.sample"
        + runtime("gpus", "batch_size", "chunk_problems")
        + "- {input.problems} {output.candidates} {output.ledger} 2> {log} <<< {params.spec:q}"


rule revise:
    input:
        unpack(
            part_inputs(
                CANDIDATES,
                problems=PROBLEMS,
                model=lambda w: own(PLAN.models.policy_files(w.policy)),
            )
        ),
    output:
        candidates=part(CANDIDATES),
        ledger=part(ledger_of(CANDIDATES)),
        times=part(times_of(CANDIDATES)),
    log:
        "logs/{experiment}/revise/{dataset}/{policy}/{generator}{shard}.log",
    wildcard_constraints:
        generator=any_of(CONFIG.chains),
    priority: SAMPLED
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.models.gpus([w.policy]),
        mem_mb=3000,
        batch_size=CONFIG.engine_settings.batch_size,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: REVISIONS.revise(w.policy, w.generator),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.revise"
        + runtime("gpus", "batch_size", "chunk_problems")
        + "- {input.problems} {output.candidates} {output.ledger} 2> {log} <<< {params.spec:q}"


# One rule per policy and import: whether it writes scores depends on the config.
for _pool in PLAN.pools.replays():

    rule:
        name:
            rule_name("replay", _pool.policy, _pool.generator)
        input:
            problems=PLAN.paths.at(PROBLEMS, dataset=_pool.dataset),
            files=own(PLAN.replay_files(_pool.policy, _pool.generator)),
        output:
            made=PLAN.paths.replayed(_pool),
            times=times_beside(PLAN.paths.replayed(_pool)),
        log:
            f"logs/{CONFIG.experiment}/replay/{'/'.join(_pool)}.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w, pool=_pool: PLAN.replay(pool.policy, pool.generator),
        shell:
            SETUP
            + "python -m isoflop.stages.replay - {input.problems} {output.made} 2> {log} <<< {params.spec:q}"


# Every budget is a search of its own: a tree of width 16 is not part of one of width 64.
rule search:
    input:
        unpack(
            part_inputs(
                TREES,
                problems=PROBLEMS,
                models=lambda w: own(PLAN.search_models(w.policy, w.generator)),
            )
        ),
    output:
        trees=part(TREES),
        ledger=part(ledger_of(TREES)),
        times=part(times_of(TREES)),
    log:
        "logs/{experiment}/search/{dataset}/{policy}/{generator}/{budget}{shard}.log",
    wildcard_constraints:
        generator=any_of(CONFIG.searches),
        budget=r"\d+",
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.models.gpus([w.policy], PLAN.pools.verifiers(w.generator)),
        mem_mb=3000,
        batch_size=CONFIG.engine_settings.batch_size,
        batch_tokens=CONFIG.engine_settings.batch_tokens,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: PLAN.search(w.policy, w.generator, int(w.budget)),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.search"
        + runtime("gpus", "batch_size", "batch_tokens", "chunk_problems")
        + "- {input.problems} {output.trees} {output.ledger} 2> {log} <<< {params.spec:q}"


# One rule per search of a policy: the scores are under the name of the verifier that guided it.
for _pool in PLAN.pools.searches():

    rule:
        name:
            rule_name("gather_trees", *_pool)
        input:
            trees=PLAN.paths.trees(_pool),
            times=times_beside(PLAN.paths.trees(_pool)),
        output:
            made=PLAN.paths.gathered(_pool),
            times=times_beside(PLAN.paths.gathered(_pool)),
        log:
            f"logs/{CONFIG.experiment}/gather_trees/{'/'.join(_pool)}.log",
        priority: GATHERED
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w, pool=_pool: PLAN.gather_trees(pool.policy, pool.generator),
        shell:
            SETUP
            + "python -m isoflop.stages.gather_trees - {input.trees} {output.made} 2> {log} <<< {params.spec:q}"


# One table of the parts that shards made. Its specification is that of a table made in one piece, and so are
# its other inputs: a finished table is not made again in another number of shards.
if CONFIG.shards > 1:

    rule merge_sample:
        input:
            PROBLEMS,
            lambda w: own(PLAN.models.policy_files(w.policy)),
            parts=lambda w: PLAN.paths.parts(CANDIDATES, **w),
            times=lambda w: times_beside(PLAN.paths.parts(CANDIDATES, **w)),
        output:
            made=[CANDIDATES, ledger_of(CANDIDATES)],
            times=times_of(CANDIDATES),
        log:
            "logs/{experiment}/sample/{dataset}/{policy}/{generator}.log",
        wildcard_constraints:
            generator=any_of(PLAN.pools.sampled()),
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=4000,
        params:
            spec=lambda w: PLAN.sample(w.policy, w.generator),
        shell:
            SETUP
            + "python -m isoflop.stages.merge"
            + " {input.parts} {output.made} 2> {log}"

    use rule merge_sample as merge_revise with:
        log:
            "logs/{experiment}/revise/{dataset}/{policy}/{generator}.log",
        wildcard_constraints:
            generator=any_of(CONFIG.chains),
        params:
            spec=lambda w: REVISIONS.revise(w.policy, w.generator),

    use rule merge_sample as merge_search with:
        input:
            PROBLEMS,
            lambda w: own(PLAN.search_models(w.policy, w.generator)),
            parts=lambda w: PLAN.paths.parts(TREES, **w),
            times=lambda w: times_beside(PLAN.paths.parts(TREES, **w)),
        output:
            made=[TREES, ledger_of(TREES)],
            times=times_of(TREES),
        log:
            "logs/{experiment}/search/{dataset}/{policy}/{generator}/{budget}.log",
        wildcard_constraints:
            generator=any_of(CONFIG.searches),
            budget=r"\d+",
        params:
            spec=lambda w: PLAN.search(w.policy, w.generator, int(w.budget)),

    use rule merge_sample as merge_score with:
        input:
            PROBLEMS,
            CANDIDATES,
            lambda w: own(PLAN.models.verifier_files(w.verifier)),
            parts=lambda w: PLAN.paths.parts(SCORES, **w),
            times=lambda w: times_beside(PLAN.paths.parts(SCORES, **w)),
        output:
            made=[SCORES, ledger_of(SCORES)],
            times=times_of(SCORES),
        log:
            "logs/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}.log",
        wildcard_constraints:
            generator=any_of([*PLAN.pools.sampled(), *CONFIG.chains]),
        params:
            spec=lambda w: PLAN.score(w.policy, w.verifier),


# One rule per import of counts: it writes the credits of all its policies.
for _generator in CONFIG.counts:

    rule:
        name:
            rule_name("counts", _generator)
        input:
            problems=COUNTED.inputs(_generator),
            files=own(COUNTED.files(_generator)),
        output:
            PLAN.paths.counted(_generator),
        log:
            f"logs/{CONFIG.experiment}/counts/{_generator}.log",
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w, generator=_generator: COUNTED.counts(generator),
        shell:
            SETUP
            + "python -m isoflop.stages.counts - {input.problems} {output} 2> {log} <<< {params.spec:q}"
