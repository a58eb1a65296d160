#!/bin/sh
# What is in the image, for Dockerfile and isoflop.def alike, on Debian with Python 3.11 or newer:
#
#     install.sh system           Debian's packages
#     install.sh python FOLDER    isoflop and the pins of FOLDER, a copy of the repository, in /opt/venv
#
# EXTRAS: optional dependencies (pyproject.toml); TORCH_INDEX: where torch's build comes from.
set -eu

system() {
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	# bubblewrap for programs that models write, rsync for Snakemake's storage on a file system.
	apt-get install -qy --no-install-recommends bash bubblewrap ca-certificates git python3 python3-venv rsync
	rm -rf /var/lib/apt/lists/*
}

python() {
	folder=$1
	extras=${EXTRAS:-slurm,fs}
	index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
	export PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
	[ -x /opt/venv/bin/python ] || python3 -m venv /opt/venv
	# Torch alone, its other dependencies are on the ordinary index; as in the Makefile, from there too where the
	# other cannot be reached, which may bring the CUDA build.
	torch=$(grep '^torch==' "$folder/constraints.txt")
	/opt/venv/bin/python -m pip install -q --retries 0 --timeout 15 --no-deps --index-url "$index" "$torch" \
		|| /opt/venv/bin/python -m pip install -q -c "$folder/constraints.txt" "$torch"
	/opt/venv/bin/python -m pip install -q -c "$folder/constraints.txt" --editable "${folder}[$extras]"
	/opt/venv/bin/python -m compileall -q "$folder/src"
}

case ${1:-} in
	system) system ;;
	python) python "${2:?usage: $0 python FOLDER}" ;;
	*)
		echo "usage: $0 system | $0 python FOLDER" >&2
		exit 2
		;;
esac
