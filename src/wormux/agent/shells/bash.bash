# What Wormux adds to bash, which reads this file instead of ~/.bashrc: docs/shell-integration.md says what and why.
# Names begin with __wormux_; nothing of it is exported. No program is started, and none at a prompt.

__wormux_keep=${WORMUX_KEEP-} __wormux_restore=${WORMUX_RESTORE-} __wormux_login=${WORMUX_LOGIN-}
builtin unset -v WORMUX_KEEP WORMUX_RESTORE WORMUX_LOGIN
__wormux_ran=1 __wormux_shown= __wormux_url=
# In PS0 and PS1 stands only the name of a mark: a shell that inherits them writes none.
__wormux_ends=$'\e]133;B\a' __wormux_starts=$'\e]133;C\a'
__wormux_ends_ref='\[${__wormux_ends-}\]'
__wormux_starts_ref='${__wormux_starts-}${__wormux_starts:$((__wormux_ran=1,0)):0}'
__wormux_modern=
if ((BASH_VERSINFO[0] > 4 || BASH_VERSINFO[0] == 4 && BASH_VERSINFO[1] >= 4)); then __wormux_modern=yes; fi

# Sets __wormux_url to where the shell is, each byte but plain ones as %XX.
__wormux_locate() {
    local LC_ALL=C __wormux_i __wormux_byte
    __wormux_url=
    for ((__wormux_i = 0; __wormux_i < ${#PWD}; __wormux_i++)); do
        __wormux_byte=${PWD:__wormux_i:1}
        case $__wormux_byte in
            [a-zA-Z0-9/._~-]) ;;
            *)
                builtin printf -v __wormux_byte %d "'$__wormux_byte"
                builtin printf -v __wormux_byte %%%02X $((__wormux_byte & 255))
                ;;
        esac
        __wormux_url+=$__wormux_byte
    done
    __wormux_shown=$PWD
}

# Hands the exported variables over, as records that end with NUL: an empty one, "wormux $1", NAME=VALUE, ..., an empty one.
__wormux_send() {
    if [[ -z $__wormux_keep || ! -p $__wormux_keep ]]; then return 0; fi
    local __wormux_name __wormux_records
    __wormux_records=("" "wormux $1")
    for __wormux_name in \
        "${!A@}" "${!B@}" "${!C@}" "${!D@}" "${!E@}" "${!F@}" "${!G@}" "${!H@}" "${!I@}" "${!J@}" "${!K@}" "${!L@}" \
        "${!M@}" "${!N@}" "${!O@}" "${!P@}" "${!Q@}" "${!R@}" "${!S@}" "${!T@}" "${!U@}" "${!V@}" "${!W@}" "${!X@}" \
        "${!Y@}" "${!Z@}" "${!a@}" "${!b@}" "${!c@}" "${!d@}" "${!e@}" "${!f@}" "${!g@}" "${!h@}" "${!i@}" "${!j@}" \
        "${!k@}" "${!l@}" "${!m@}" "${!n@}" "${!o@}" "${!p@}" "${!q@}" "${!r@}" "${!s@}" "${!t@}" "${!u@}" "${!v@}" \
        "${!w@}" "${!x@}" "${!y@}" "${!z@}" "${!_@}"; do
        if [[ ${!__wormux_name+x} && ${!__wormux_name@a} == *x* ]]; then
            if [[ $__wormux_name == PS1 ]]; then
                __wormux_records+=("PS1=${PS1//"$__wormux_ends_ref"/}")
            else
                __wormux_records+=("$__wormux_name=${!__wormux_name}")
            fi
        fi
    done
    # Opened for both directions, so that it never waits for a reader.
    builtin printf '%s\0' "${__wormux_records[@]}" "" 1<>"$__wormux_keep"
}

# The lines of the file $__wormux_restore. What has become of another kind by the person's files is left alone.
__wormux_put() {
    local __wormux_name=$1
    if [[ ${!__wormux_name+x} ]]; then
        case ${!__wormux_name@a} in *[aAinr]*) return 0 ;; esac
    fi
    builtin export "$1=$2"
}
__wormux_drop() {
    builtin unset -v "$1"
}

# Has the prompts that come carry marks. A prompt may be set anew at any time.
__wormux_mark() {
    if [[ -z $__wormux_modern ]]; then
        PS1=${PS1-}
        PS1=${PS1//"$__wormux_ends_ref"/}$__wormux_ends_ref
    elif builtin shopt -q promptvars; then
        if [[ ${PS1@a} != *r* ]]; then PS1=${PS1//"$__wormux_ends_ref"/}$__wormux_ends_ref; fi
        if [[ ${PS0@a} != *r* ]]; then PS0=${PS0//"$__wormux_starts_ref"/}$__wormux_starts_ref; fi
    fi
}

__wormux_prompt() {
    local __wormux_status=$?
    if [[ $__wormux_modern ]]; then
        local -  # The person's choices hold for the person's commands.
        set +aefux
    fi
    local __wormux_text=
    if ((__wormux_ran)); then __wormux_text=$'\e]133;D;'$__wormux_status$'\a'; fi
    if [[ $__wormux_modern ]]; then __wormux_ran=0; fi
    if [[ $PWD != "$__wormux_shown" ]]; then __wormux_locate; fi
    # Not 133;A, by which some emulators begin a new line and others do not.
    builtin printf '%s' "$__wormux_text"$'\e]7;file://'"$HOSTNAME$__wormux_url"$'\a\e]133;P;k=i\a' >/dev/tty
    __wormux_mark
    if [[ ${HISTFILE-} ]] && builtin shopt -qo history; then builtin history -a; fi
    if [[ $__wormux_modern ]]; then __wormux_send prompt; fi
    return 0
} 2>/dev/null

# Before the first prompt; $1 is the person's DEBUG trap.
__wormux_start() {
    if [[ $__wormux_modern ]]; then
        local -
        set +aefux
        __wormux_ran=0
        __wormux_send baseline
        if [[ $__wormux_restore && -r $__wormux_restore ]]; then builtin source "$__wormux_restore"; fi
    fi
    if ((BASH_VERSINFO[0] > 5 || BASH_VERSINFO[0] == 5 && BASH_VERSINFO[1] >= 1)); then
        # Each element finds the status that the command left. The first stays the person's: it is what an assignment to
        # PROMPT_COMMAND sets. With a DEBUG trap, what comes last there is what the trap takes for the next command.
        if [[ -z ${PROMPT_COMMAND[*]-} ]]; then PROMPT_COMMAND=(""); fi
        if [[ $1 && $1 != "trap -- - "* || ${PROMPT_COMMAND[*]-} == *__bp_* ]]; then
            PROMPT_COMMAND=(__wormux_prompt "${PROMPT_COMMAND[@]}")
        else
            PROMPT_COMMAND+=(__wormux_prompt)
        fi
    else
        builtin export -n PROMPT_COMMAND
        PROMPT_COMMAND=__wormux_first${PROMPT_COMMAND:+$'\n'$PROMPT_COMMAND}$'\n__wormux_last'
    fi
    builtin unset -f __wormux_put __wormux_drop __wormux_start
    return 0
} 2>/dev/null

# For bash before 5.1.
__wormux_first() {
    __wormux_last_status=$?
    return $__wormux_last_status
}
__wormux_again() { return $__wormux_last_status; }
__wormux_last() {
    __wormux_again
    __wormux_prompt
}

if [[ $__wormux_login ]]; then
    if [[ -r /etc/profile ]]; then builtin source /etc/profile; fi
    if [[ -r ~/.bash_profile ]]; then
        builtin source ~/.bash_profile
    elif [[ -r ~/.bash_login ]]; then
        builtin source ~/.bash_login
    elif [[ -r ~/.profile ]]; then
        builtin source ~/.profile
    fi
elif [[ -r ~/.bashrc ]]; then
    builtin source ~/.bashrc
fi
\__wormux_start "$(\builtin trap -p DEBUG)"
