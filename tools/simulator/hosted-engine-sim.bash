# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of hosted-engine-sim for bash. Knows the commands, their options and the words these take; the lines of the two
# tables below are tested equal to the command's own table. Asks nothing of the host but for names of files.

_hosted_engine_sim()
{
	local current=${COMP_WORDS[COMP_CWORD]} command= words= value= word
	COMPREPLY=()

	local -A options=(
		[help]="scores what-if replay run"
		[scores]="--whiteboard= --json"
		[what-if]="--kill= --maintenance= --storage-loss= --whiteboard= --json"
		[replay]="--json"
		[run]="--json --svg= --log"
	)
	local -A values=(
		[--whiteboard]="FILE"
		[--kill]="N"
		[--maintenance]="N global"
		[--storage-loss]="N"
		[replay]="LOGLINE JOURNAL"
		[run]="SCENARIO"
		[--svg]="FILE"
	)

	# Bash cuts words at `=`: the option is then one or two words back.
	if [[ $current == = ]]; then
		value=${COMP_WORDS[COMP_CWORD - 1]} current=
	elif ((COMP_CWORD >= 2)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		value=${COMP_WORDS[COMP_CWORD - 2]}
	elif ((COMP_CWORD >= 2)); then
		value=${COMP_WORDS[COMP_CWORD - 1]}
	fi

	if [[ -n $value && -n ${values[$value]-} && $current != --* ]]; then
		case ${values[$value]} in
		*FILE | *JOURNAL | SCENARIO) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
		*) mapfile -t COMPREPLY < <(compgen -W "${values[$value]}" -- "$current") ;;
		esac
		return
	fi

	if ((COMP_CWORD == 1)); then
		words="${!options[*]} --help"
	else
		command=${COMP_WORDS[1]}
		for word in ${options[$command]-}; do
			[[ " ${COMP_WORDS[*]:2:COMP_CWORD-2} " == *" ${word%=} "* ]] || words+=" $word"
		done
		((COMP_CWORD == 2)) || [[ $command != help ]] || words=
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null || true
}

complete -F _hosted_engine_sim hosted-engine-sim
