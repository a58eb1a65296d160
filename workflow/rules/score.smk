rule score:
    input:
        problems=part_input(SCORES, PROBLEMS),
        candidates=part_input(SCORES, CANDIDATES),
        model=part_input(SCORES, lambda w: PLAN.models.verifier_files(w.verifier)),
    output:
        scores=part(SCORES),
        ledger=part(ledger_of(SCORES)),
    log:
        "logs/{experiment}/score/{dataset}/{policy}/{generator}/{verifier}{shard}.log",
    wildcard_constraints:
        generator=any_of([*PLAN.pools.sampled(), *CONFIG.chains]),
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
        "OMP_NUM_THREADS={threads} ISOFLOP_GPUS={resources.gpu} ISOFLOP_BATCH_TOKENS={resources.batch_tokens} "
        "ISOFLOP_CHUNK_PROBLEMS={resources.chunk_problems} "
        "python -m isoflop.stages.score {params.spec:q} {input.problems} {input.candidates} {output} 2> {log}"
