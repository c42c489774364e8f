# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of hosted-engine for bash. Knows the commands, their options and the words these take; the lines of the two tables
# below are tested equal to the command's own table. Asks nothing of the host but for names of files.

_hosted_engine()
{
	local current=${COMP_WORDS[COMP_CWORD]} command= words= value= word
	COMPREPLY=()

	local -A options=(
		[--help]="--deploy --undeploy --vm-start --vm-start-paused --vm-shutdown --vm-poweroff --vm-migrate --vm-status --history --console --add-console-password --check-liveliness --check-deployed --connect-storage --disconnect-storage --set-maintenance --get-shared-config --set-shared-config --save-config --test-alert --reinitialize-lockspace --clean-metadata --dump-whiteboard --discover-storage"
		[--deploy]="--config-append= --generate-answer= --restore-from-file= --4 --6"
		[--undeploy]=""
		[--vm-start]="--vm-conf= --json"
		[--vm-start-paused]="--json"
		[--vm-shutdown]=""
		[--vm-poweroff]=""
		[--vm-migrate]="--host= --wait --json"
		[--vm-status]="--json --watch"
		[--history]="--json"
		[--console]=""
		[--add-console-password]="--password= --json"
		[--check-liveliness]="--json"
		[--check-deployed]="--json"
		[--connect-storage]=""
		[--disconnect-storage]=""
		[--set-maintenance]="--mode= --wait"
		[--get-shared-config]="--type= --json"
		[--set-shared-config]="--type="
		[--save-config]=""
		[--test-alert]="--json"
		[--reinitialize-lockspace]="--force"
		[--clean-metadata]="--force-cleanup --host-id="
		[--dump-whiteboard]="--json"
		[--discover-storage]="--server= --user= --password-file= --initiator= --timeout="
	)
	local -A values=(
		[--config-append]="FILE"
		[--generate-answer]="FILE"
		[--restore-from-file]="FILE"
		[--vm-conf]="FILE"
		[--host]="HOST"
		[--password]="PASSWORD"
		[--mode]="global local none"
		[--get-shared-config]="KEY"
		[--type]="he_local he_shared ha broker"
		[--set-shared-config]="KEY"
		[--save-config]="FILE"
		[--host-id]="N"
		[--dump-whiteboard]="FILE"
		[--discover-storage]="nfs iscsi fc block"
		[--server]="HOST"
		[--user]="NAME"
		[--password-file]="FILE"
		[--initiator]="IQN"
		[--timeout]="SECONDS"
	)

	# Bash cuts words at `=`: the option is then one or two words back.
	if [[ $current == = ]]; then
		value=${COMP_WORDS[COMP_CWORD - 1]} current=
	elif ((COMP_CWORD >= 2)) && [[ ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		value=${COMP_WORDS[COMP_CWORD - 2]}
	elif ((COMP_CWORD >= 2)); then
		value=${COMP_WORDS[COMP_CWORD - 1]}
	fi
	if [[ $value == --set-maintenance && ${COMP_WORDS[COMP_CWORD]} != "$current" ]] ||
		[[ $value == --set-maintenance && ${COMP_WORDS[COMP_CWORD - 1]} == = ]]; then
		value=--mode
	fi

	if [[ -n $value && -n ${values[$value]-} && $current != --* ]]; then
		if [[ ${values[$value]} == FILE ]]; then
			mapfile -t COMPREPLY < <(compgen -f -- "$current")
		elif [[ ${values[$value]} != [[:upper:]]* ]]; then # the name of a thing is no word to give
			mapfile -t COMPREPLY < <(compgen -W "${values[$value]}" -- "$current")
		fi
		return
	fi

	if ((COMP_CWORD == 1)); then
		words=${!options[*]}
	else
		command=${COMP_WORDS[1]}
		for word in ${options[$command]-}; do
			[[ " ${COMP_WORDS[*]:2:COMP_CWORD-2} " == *" ${word%=} "* ]] || words+=" $word"
		done
		((COMP_CWORD == 2)) || [[ $command != --help ]] || words=
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
	[[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace 2>/dev/null || true
}

complete -F _hosted_engine hosted-engine
