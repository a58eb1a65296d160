import re

# One rule per policy and import: whether it writes scores depends on the config.
for _pool in PLAN.pools.replays():

    rule:
        name:
            re.sub(r"\W", "_", f"replay_{_pool.policy}_{_pool.generator}")
        input:
            problems=PLAN.paths.at(PROBLEMS, dataset=_pool.dataset),
            files=PLAN.replay_files(_pool.policy, _pool.generator),
        output:
            PLAN.paths.replayed(_pool),
        log:
            f"logs/{CONFIG.experiment}/replay/{'/'.join(_pool)}.log",
        group:
            "tables"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w, pool=_pool: PLAN.replay(pool.policy, pool.generator),
        shell:
            "python -m isoflop.stages.replay {params.spec:q} {input.problems} {output} 2> {log}"
