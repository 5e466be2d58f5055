# SPDX-License-Identifier: Apache-2.0
#
# fish completion of secretvolctl. Names are asked from the daemon.

set -g __secretvolctl_verbs status get describe wait events env exec mounts render check help

# What stands behind an option before the cursor: __secretvolctl_option -n --namespace
function __secretvolctl_option
    set -l words (commandline -opc)
    for i in (seq 2 (count $words))
        for name in $argv
            if test "$words[$i]" = "$name"; and set -q words[(math $i + 1)]
                echo -- $words[(math $i + 1)]
            else if string match -q -- "$name=*" "$words[$i]"
                string replace -- "$name=" '' "$words[$i]"
            end
        end
    end | tail -n 1
end

# The verb and its arguments, without options.
function __secretvolctl_arguments
    set -l words (commandline -opc)
    set -l skip 0
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
        else if contains -- $word -n --namespace --socket -o --output -c --container -f --filename --for --timeout
            set skip 1
        else if not string match -q -- '-*' $word
            echo -- $word
        end
    end
end

function __secretvolctl_verb_is
    set -l said (__secretvolctl_arguments)
    if test (count $argv) = 0
        test (count $said) = 0
    else
        test (count $said) -gt 0; and contains -- $said[1] $argv
    end
end

# Has the verb so many arguments already? __secretvolctl_has 1 get describe
function __secretvolctl_has
    set -l said (__secretvolctl_arguments)
    test (count $said) = (math $argv[1] + 1); and contains -- $said[1] $argv[2..-1]
end

# Ask the daemon that the command line means; one that hangs costs a second.
function __secretvolctl_ask
    set -l program (commandline -opc)[1]
    set -l socket (__secretvolctl_option --socket)
    if test -n "$socket"
        timeout 1 $program --socket $socket $argv 2>/dev/null
    else
        timeout 1 $program $argv 2>/dev/null
    end
end

function __secretvolctl_namespaces
    begin
        __secretvolctl_ask get pods -A --no-headers
        __secretvolctl_ask get secrets -A --no-headers
    end | string replace -r ' .*' '' | sort -u
end

function __secretvolctl_namespace
    set -l namespace (__secretvolctl_option -n --namespace)
    test -n "$namespace"; and echo -- $namespace; or echo default
end

function __secretvolctl_objects
    __secretvolctl_ask get $argv[1] -n (__secretvolctl_namespace) -o name | string replace -r '^[a-z]*/' ''
end

function __secretvolctl_named
    set -l said (__secretvolctl_arguments)
    switch "$said[2]"
        case vol vols volume volumes
            __secretvolctl_objects volumes
        case po pod pods
            __secretvolctl_objects pods
        case secret secrets
            __secretvolctl_objects secrets
    end
end

function __secretvolctl_containers
    set -l said (__secretvolctl_arguments)
    test (count $said) -ge 2; or return
    __secretvolctl_ask get pods $said[2] -n (__secretvolctl_namespace) -o yaml | awk '
        /^  containers:/ { on = 1; next }
        on && /^  [a-z]/ { exit }
        on && /^  - name: / { gsub(/"/, "", $3); print $3 }'
end

complete -c secretvolctl -f
complete -c secretvolctl -l socket -r -F -d 'socket of the daemon'
complete -c secretvolctl -s h -l help -d 'show a summary'
complete -c secretvolctl -l version -d 'show the version'

set -l none __secretvolctl_verb_is
complete -c secretvolctl -n $none -a status -d 'how the daemon is, and every problem'
complete -c secretvolctl -n $none -a get -d 'list volumes, pods or Secrets'
complete -c secretvolctl -n $none -a describe -d 'everything about one volume or pod'
complete -c secretvolctl -n $none -a wait -d 'wait until something is published or gone'
complete -c secretvolctl -n $none -a events -d 'what happened to which volume'
complete -c secretvolctl -n $none -a env -d 'print the environment of a container'
complete -c secretvolctl -n $none -a exec -d 'run a command as a container would see it'
complete -c secretvolctl -n $none -a mounts -d 'print the mounts of a container'
complete -c secretvolctl -n $none -a render -d 'show offline what would be made'
complete -c secretvolctl -n $none -a check -d 'check manifests offline'
complete -c secretvolctl -n $none -a help -d 'show the summary of a command'
complete -c secretvolctl -n '__secretvolctl_has 0 help' -a "$__secretvolctl_verbs"

complete -c secretvolctl -n '__secretvolctl_has 0 get' -a 'volumes pods secrets'
complete -c secretvolctl -n '__secretvolctl_has 0 describe wait' -a 'volume pod'
complete -c secretvolctl -n '__secretvolctl_has 1 get describe wait' -a '(__secretvolctl_named)'
complete -c secretvolctl -n '__secretvolctl_has 0 env exec mounts' -a '(__secretvolctl_objects pods)'

complete -c secretvolctl -n '__secretvolctl_verb_is get describe wait events env exec mounts render' -s n -l namespace -x -a '(__secretvolctl_namespaces)' -d namespace
complete -c secretvolctl -n '__secretvolctl_verb_is get events' -s A -l all-namespaces -d 'every namespace'
complete -c secretvolctl -n '__secretvolctl_verb_is get events' -l no-headers -d 'no heads above the columns'
complete -c secretvolctl -n '__secretvolctl_verb_is status get events' -s w -l watch -d 'go on with changes'
complete -c secretvolctl -n '__secretvolctl_verb_is status' -s o -l output -x -a 'text json yaml' -d format
complete -c secretvolctl -n '__secretvolctl_verb_is get' -s o -l output -x -a 'table wide json yaml name' -d format
complete -c secretvolctl -n '__secretvolctl_verb_is events render' -s o -l output -x -a 'table json' -d format
complete -c secretvolctl -n '__secretvolctl_verb_is env' -s o -l output -x -a 'env json shell' -d format
complete -c secretvolctl -n '__secretvolctl_verb_is mounts' -s o -l output -x -a 'json oci podman docker systemd bwrap' -d format
complete -c secretvolctl -n '__secretvolctl_verb_is wait' -l for -x -a 'published removed' -d 'what to wait for'
complete -c secretvolctl -n '__secretvolctl_verb_is wait exec' -l timeout -x -a '0 10s 30s 1m 5m' -d 'how long'
complete -c secretvolctl -n '__secretvolctl_verb_is exec' -l wait -d 'wait for the volumes'
complete -c secretvolctl -n '__secretvolctl_verb_is exec' -l no-wait -d 'fail if they are not there'
complete -c secretvolctl -n '__secretvolctl_verb_is env exec mounts' -s c -l container -x -a '(__secretvolctl_containers)' -d container
complete -c secretvolctl -n '__secretvolctl_verb_is render check' -s f -l filename -r -F -d manifests
complete -c secretvolctl -n '__secretvolctl_verb_is check' -l strict -d 'a Secret that is not in the files is a complaint'
