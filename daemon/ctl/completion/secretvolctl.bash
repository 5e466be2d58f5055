# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# bash completion of secretvolctl. It needs nothing but bash; names are asked from the daemon.
# The functions share the variables of _secretvolctl: cur, verb, kind, namespace, socket, arguments.

# Ask the daemon that the command line means; one that hangs costs a second.
__secretvolctl_ask() {
	local -a command=("${COMP_WORDS[0]/#\~/$HOME}")
	[[ -z $socket ]] || command+=(--socket "$socket")
	timeout 1 "${command[@]}" "$@" 2>/dev/null
}

__secretvolctl_namespaces() {
	{
		__secretvolctl_ask get pods -A --no-headers
		__secretvolctl_ask get secrets -A --no-headers
	} | awk '{ print $1 }' | sort -u
}

__secretvolctl_objects() { # volumes|pods|secrets
	__secretvolctl_ask get "$1" -n "${namespace:-default}" -o name | sed 's|^[a-z]*/||'
}

__secretvolctl_containers() { # POD
	[[ -z $1 ]] || __secretvolctl_ask get pods "$1" -n "${namespace:-default}" -o yaml | awk '
		/^  containers:/ { on = 1; next }
		on && /^  [a-z]/ { exit }
		on && /^  - name: / { gsub(/"/, "", $3); print $3 }'
}

# Those of some lines that begin with what stands before the cursor.
__secretvolctl_offer() {
	local word
	while IFS= read -r word; do
		[[ -z $word || $word != "$cur"* ]] || COMPREPLY+=("$word")
	done <<<"$1"
}

__secretvolctl_words() {
	local IFS=$'\n'
	__secretvolctl_offer "$*"
}

__secretvolctl_files() {
	compopt -o filenames 2>/dev/null
	__secretvolctl_offer "$(compgen -f -- "$cur")"
}

__secretvolctl_formats() {
	case $verb in
	status) __secretvolctl_words text json yaml ;;
	get) __secretvolctl_words table wide json yaml name ;;
	events | render) __secretvolctl_words table json ;;
	env) __secretvolctl_words env json shell ;;
	mounts) __secretvolctl_words json oci podman docker systemd bwrap ;;
	esac
}

# Values of an option. False if it takes none.
__secretvolctl_value() {
	case $1 in
	--socket | -f | --filename) __secretvolctl_files ;;
	-n | --namespace) __secretvolctl_offer "$(__secretvolctl_namespaces)" ;;
	-c | --container) __secretvolctl_offer "$(__secretvolctl_containers "${arguments[0]}")" ;;
	-o | --output) __secretvolctl_formats ;;
	--for) __secretvolctl_words published removed ;;
	--timeout) __secretvolctl_words 0 10s 30s 1m 5m ;;
	*) return 1 ;;
	esac
}

__secretvolctl_options() {
	local -a options=(--socket --help --version)
	case $verb in
	status) options+=(--output --watch) ;;
	get) options+=(--namespace --all-namespaces --output --watch --no-headers) ;;
	describe) options+=(--namespace) ;;
	wait) options+=(--for --timeout --namespace) ;;
	events) options+=(--namespace --all-namespaces --output --watch --no-headers) ;;
	env | mounts) options+=(--container --namespace --output) ;;
	exec) options+=(--container --namespace --wait --no-wait --timeout) ;;
	render) options+=(--filename --namespace --output) ;;
	check) options+=(--filename --strict) ;;
	esac
	__secretvolctl_words "${options[@]}"
}

__secretvolctl_arguments() {
	local n=${#arguments[@]}
	case $verb in
	'') __secretvolctl_words status get describe wait events env exec mounts render check help ;;
	help) [[ $n -gt 0 ]] ||
		__secretvolctl_words status get describe wait events env exec mounts render check ;;
	get | describe | wait)
		if [[ $n -eq 1 ]]; then
			case ${arguments[0]} in
			vol | vols | volume | volumes) __secretvolctl_offer "$(__secretvolctl_objects volumes)" ;;
			po | pod | pods) __secretvolctl_offer "$(__secretvolctl_objects pods)" ;;
			secret | secrets) __secretvolctl_offer "$(__secretvolctl_objects secrets)" ;;
			esac
		elif [[ $n -eq 0 && $verb == get ]]; then
			__secretvolctl_words volumes pods secrets
		elif [[ $n -eq 0 ]]; then
			__secretvolctl_words volume pod
		fi ;;
	env | exec | mounts) [[ $n -gt 0 ]] || __secretvolctl_offer "$(__secretvolctl_objects pods)" ;;
	esac
}

_secretvolctl() {
	local cur='' option='' verb='' namespace='' socket='' word i
	local -a arguments=() words=()
	COMPREPLY=()

	# "--for=x" reaches us as three words where = breaks them: put together again.
	for ((i = 1; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ $word == = && $cur == --* ]]; then
			cur+='='
		elif [[ $cur == --*= && ${COMP_WORDS[i - 1]} == = ]]; then
			cur+=$word
		else
			((i == 1)) || words+=("$cur")
			cur=$word
		fi
	done

	for word in "${words[@]}"; do
		if [[ -n $option ]]; then
			case $option in
			-n | --namespace) namespace=$word ;;
			--socket) socket=$word ;;
			esac
			option=''
			continue
		fi
		case $word in
		--) [[ $verb != exec ]] || { __secretvolctl_files; return; } ;;
		--namespace=*) namespace=${word#*=} ;;
		--socket=*) socket=${word#*=} ;;
		-n | --namespace | --socket | -o | --output | -c | --container | -f | --filename | --for | --timeout)
			option=$word ;;
		-*) ;;
		*) if [[ -z $verb ]]; then verb=$word; else arguments+=("$word"); fi ;;
		esac
	done

	if [[ -n $option ]]; then
		__secretvolctl_value "$option"
	elif [[ $cur == --*=* ]]; then
		option=${cur%%=*}
		cur=${cur#*=}
		__secretvolctl_value "$option"
		# Where = does not break words, the whole word is replaced.
		[[ $COMP_WORDBREAKS == *=* ]] || COMPREPLY=("${COMPREPLY[@]/#/$option=}")
	elif [[ $cur == -* ]]; then
		__secretvolctl_options
	else
		__secretvolctl_arguments
	fi
}

complete -F _secretvolctl secretvolctl
