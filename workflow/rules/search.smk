# Every budget is a search of its own: a tree of width 16 is not part of one of width 64.
rule search:
    input:
        problems=part_input(TREES, PROBLEMS),
        models=part_input(TREES, lambda w: PLAN.search_models(w.policy, w.generator)),
    output:
        trees=part(TREES),
        ledger=part(ledger_of(TREES)),
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
        "OMP_NUM_THREADS={threads} python -m isoflop.stages.search"
        + runtime("gpus", "batch_size", "batch_tokens", "chunk_problems")
        + "- {input.problems} {output} 2> {log} <<< {params.spec:q}"
