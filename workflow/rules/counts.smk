import re

# One rule per import of counts: it writes the credits of all its policies.
for _generator in CONFIG.counts:

    rule:
        name:
            re.sub(r"\W", "_", f"counts_{_generator}")
        input:
            problems=PLAN.counts_inputs(_generator),
            files=PLAN.counts_files(_generator),
        output:
            PLAN.paths.counted(_generator),
        log:
            f"logs/{CONFIG.experiment}/counts/{_generator}.log",
        group:
            "tables"
        conda:
            "../../envs/analysis.yaml"
        resources:
            mem_mb=2000,
        params:
            spec=lambda w, generator=_generator: PLAN.counts(generator),
        shell:
            "python -m isoflop.stages.counts - {input.problems} {output} 2> {log} <<< {params.spec:q}"
