#!/usr/bin/env bash
# A SLURM of one node for tests, everything under FOLDER, without systemd and without accounting.
#
#     tests/slurm/cluster.sh up FOLDER      installs Debian's packages where they are missing; needs root
#     tests/slurm/cluster.sh down FOLDER    ends the daemons that `up` started, by their process ids
#
# Job steps drop SLURM_CONF from their environment, so /etc/slurm/slurm.conf is linked while it is up.
set -euo pipefail
action=$1
mkdir -p "$2"
folder=$(cd "$2" && pwd)
node=$(hostname -s)
link=/etc/slurm/slurm.conf
export SLURM_CONF=$folder/slurm.conf

fail() {
	echo "$1" >&2
	exit 1
}

# Whether FOLDER's daemon of that name is alive: its process id may have become another's.
alive() {
	local pid
	pid=$(cat "$folder/$1.pid" 2> /dev/null) || return 1
	[ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = "$1" ] \
		&& ! grep -q '^State:.Z' "/proc/$pid/status" 2> /dev/null
}

install_packages() {
	local missing=()
	for package in slurmctld slurmd slurm-client munge; do
		dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
	done
	[ ${#missing[@]} = 0 ] && return
	command -v apt-get > /dev/null || fail "there are no Debian packages here: ${missing[*]}"
	apt-get update -q > /dev/null || fail "the package lists cannot be fetched"
	# RUNLEVEL=1: the packages' own daemons do not start.
	RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "${missing[@]}" \
		> /dev/null || fail "cannot be installed: ${missing[*]}"
}

configure() {
	local memory
	memory=$(($(awk '/MemTotal/ {print $2}' /proc/meminfo) / 1024 - 1024))
	mkdir -p "$folder"/{state,spool}
	for gpu in 0 1; do [ -c "$folder/gpu$gpu" ] || mknod "$folder/gpu$gpu" c 1 3; done
	cat > "$folder/slurm.conf" <<- EOF
		ClusterName=isoflop
		SlurmctldHost=$node(127.0.0.1)
		SlurmctldPort=28817
		SlurmdPort=28818
		SrunPortRange=28900-28999
		CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
		SlurmUser=root
		SlurmdUser=root
		AuthType=auth/munge
		AuthInfo=socket=$folder/munge.socket
		CredType=cred/munge
		SlurmctldPidFile=$folder/slurmctld.pid
		SlurmdPidFile=$folder/slurmd.pid
		SlurmctldLogFile=$folder/slurmctld.log
		SlurmdLogFile=$folder/slurmd.log
		StateSaveLocation=$folder/state
		SlurmdSpoolDir=$folder/spool
		MpiDefault=none
		SwitchType=switch/none
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU_Memory
		SchedulerType=sched/backfill
		SchedulerParameters=batch_sched_delay=0,bf_interval=5
		SlurmdParameters=config_overrides
		ReturnToService=2
		KillWait=2
		MinJobAge=7200
		JobRequeue=0
		JobAcctGatherType=jobacct_gather/linux
		AccountingStorageType=accounting_storage/none
		GresTypes=gpu
		NodeName=$node NodeAddr=127.0.0.1 CPUs=${CPUS:-$(getconf _NPROCESSORS_ONLN)} RealMemory=${MEMORY:-$memory} Gres=gpu:2 State=UNKNOWN
		PartitionName=main Nodes=$node Default=YES MaxTime=INFINITE DefMemPerCPU=512 State=UP
	EOF
	echo "NodeName=$node Name=gpu File=$folder/gpu[0-1]" > "$folder/gres.conf"
	if [ -e $link ] && [ "$(readlink $link)" != "$SLURM_CONF" ]; then fail "$link is there and another's"; fi
	mkdir -p "$(dirname $link)"
	ln -sfn "$SLURM_CONF" $link
}

up() {
	[ "$(id -u)" = 0 ] || fail "a SLURM can only be set up by root"
	install_packages
	configure
	if ! alive munged; then
		[ -s "$folder/munge.key" ] || (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
		munged --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
			--log-file="$folder/munged.log" --seed-file="$folder/munge.seed" --force
	fi
	alive slurmctld || slurmctld -f "$SLURM_CONF"
	alive slurmd || slurmd -f "$SLURM_CONF" -N "$node"
	for _ in $(seq 150); do
		case $(sinfo -h -p main -o %T 2> /dev/null) in
			idle | mixed | allocated) return ;;
			down* | drain*) scontrol update nodename="$node" state=resume 2> /dev/null || true ;;
		esac
		sleep 0.2
	done
	fail "the node takes no jobs; see $folder/slurmctld.log and $folder/slurmd.log"
}

down() {
	if alive slurmctld; then scancel --quiet --user "$(id -un)" || true; fi
	for _ in $(seq 50); do
		[ -n "$(squeue -h -t R,CG,PD 2> /dev/null)" ] || break
		sleep 0.2
	done
	for daemon in slurmd slurmctld munged; do
		alive $daemon || continue
		local pid
		pid=$(cat "$folder/$daemon.pid")
		kill "$pid"
		for _ in $(seq 100); do
			alive $daemon || break
			sleep 0.1
		done
		if alive $daemon; then kill -KILL "$pid"; fi
	done
	if [ "$(readlink $link)" = "$SLURM_CONF" ]; then rm -f $link; fi
}

case $action in
	up | down) "$action" ;;
	*) fail "usage: $0 up|down FOLDER" ;;
esac
