rule score:
    input:
        unpack(
            part_inputs(
                SCORES,
                problems=PROBLEMS,
                candidates=CANDIDATES,
                model=lambda w: own(PLAN.models.verifier_files(w.verifier)),
            )
        ),
    output:
        scores=part(SCORES),
        ledger=part(ledger_of(SCORES)),
        times=part(times_of(SCORES)),
    log:
        "logs/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}{shard}.log",
    wildcard_constraints:
        generator=any_of([*PLAN.pools.sampled(), *CONFIG.chains]),
    priority: SCORED
    conda:
        "../../envs/torch.yaml"
    threads: CONFIG.engine_settings.threads
    resources:
        gpu=lambda w: PLAN.models.gpus(verifiers=[w.verifier]),
        mem_mb=2000,
        batch_tokens=CONFIG.engine_settings.batch_tokens,
        chunk_problems=CONFIG.engine_settings.chunk_problems,
    params:
        spec=lambda w: PLAN.score(w.policy, w.verifier),
    shell:
        SETUP
        + "OMP_NUM_THREADS={threads} python -m isoflop.stages.score"
        + runtime("gpus", "batch_tokens", "chunk_problems")
        + "- {input.problems} {input.candidates} {output.scores} {output.ledger} 2> {log} <<< {params.spec:q}"


rule grade:
    input:
        problems=PROBLEMS,
        candidates=CANDIDATES,
    output:
        GRADES,
    log:
        "logs/{experiment}/grade/{dataset}/{policy}/{generator}.log",
    priority: GATHERED
    conda:
        "../../envs/analysis.yaml"
    # Comparisons of LaTeX, and programs, run in a process per thread.
    threads: lambda w: PLAN.graders(w.dataset)
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: PLAN.grade(w.dataset, w.policy, w.generator),
    shell:
        SETUP
        + "python -m isoflop.stages.grade"
        + runtime("graders")
        + "- {input} {output} 2> {log} <<< {params.spec:q}"


rule select:
    input:
        problems=PROBLEMS,
        candidates=CANDIDATES,
        grades=GRADES,
        ledger=lambda w: PLAN.paths.usage(pool_of(w)),
        scores=lambda w: PLAN.paths.scores(pool_of(w)),
        times=lambda w: times_beside(
            [PLAN.paths.usage(pool_of(w)), *PLAN.paths.scores(pool_of(w))]
        ),
    output:
        CREDITS,
        SECONDS,
    log:
        "logs/{experiment}/select/{dataset}/{policy}/{generator}.log",
    wildcard_constraints:
        # Counts have their credits from their own rule.
        generator=any_of(
            name for name in CONFIG.generators if name not in CONFIG.counts
        ),
    priority: GATHERED
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: PLAN.select(w.policy, w.generator),
    shell:
        SETUP
        + "python -m isoflop.stages.select - {input.problems} {input.candidates} {input.grades} {input.ledger} "
        "{input.scores} {output} 2> {log} <<< {params.spec:q}"


# Chains of one length are picked from like a pool of their own.
rule select_revisions:
    input:
        problems=PROBLEMS,
        candidates=CANDIDATES,
        grades=GRADES,
        ledger=ledger_of(CANDIDATES),
        scores=lambda w: PLAN.paths.scores(pool_of(w)),
        times=lambda w: times_beside(
            [PLAN.paths.usage(pool_of(w)), *PLAN.paths.scores(pool_of(w))]
        ),
    output:
        CHAIN_CREDITS,
        CHAIN_SECONDS,
    log:
        "logs/{experiment}/select/{dataset}/{policy}/{generator}/{length}.log",
    wildcard_constraints:
        generator=any_of(CONFIG.chains),
        length=r"\d+",
    priority: GATHERED
    conda:
        "../../envs/analysis.yaml"
    resources:
        mem_mb=2000,
    params:
        spec=lambda w: REVISIONS.select(w.policy, w.generator, int(w.length)),
    shell:
        SETUP
        + "python -m isoflop.stages.select - {input.problems} {input.candidates} {input.grades} {input.ledger} "
        "{input.scores} {output} 2> {log} <<< {params.spec:q}"


if CONFIG.difficulty is not None:

    rule difficulty:
        input:
            problems=PROBLEMS,
            pool=lambda w: CHOICE.difficulty_inputs(w.dataset, w.policy),
            times=lambda w: times_beside(CHOICE.difficulty_inputs(w.dataset, w.policy)),
        output:
            DIFFICULTY,
        log:
            "logs/{experiment}/difficulty/{dataset}/{policy}.log",
        priority: GATHERED
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w: CHOICE.difficulty(w.dataset, w.policy),
        shell:
            SETUP
            + "python -m isoflop.stages.difficulty - {input.problems} {input.pool} {output} 2> {log} <<< {params.spec:q}"
