# What Wormux adds to zsh, which reads this file as the .zshenv of a ZDOTDIR that is Wormux's own:
# docs/shell-integration.md says what and why. ZDOTDIR is the person's again before any other file is read, so zsh
# itself reads the rest as usual. Names begin with __wormux_; nothing of it is exported, and no program is started.

'builtin' 'typeset' -g __wormux_keep=${WORMUX_KEEP-} __wormux_restore=${WORMUX_RESTORE-}
'builtin' 'typeset' -g __wormux_history=${WORMUX_HISTORY-} __wormux_ran= __wormux_shown= __wormux_url=
'builtin' 'typeset' -g __wormux_ends=$'%{\e]133;B\a%}'
if [[ -n ${WORMUX_ZDOTDIR+x} ]]; then
    'builtin' 'export' ZDOTDIR=$WORMUX_ZDOTDIR
else
    'builtin' 'unset' ZDOTDIR
fi
'builtin' 'unset' WORMUX_KEEP WORMUX_RESTORE WORMUX_HISTORY WORMUX_ZDOTDIR
# Set but empty: whoever unsets it wants no history.
if [[ -n ${HISTFILE+x} ]]; then __wormux_history=; fi
if [[ -n $__wormux_history ]]; then HISTFILE=; fi

# Sets __wormux_url to where the shell is, each byte but plain ones as %XX.
__wormux_locate() {
    builtin emulate -L zsh
    builtin setopt no_multibyte
    local __wormux_byte
    local -i __wormux_i
    __wormux_url=
    for ((__wormux_i = 1; __wormux_i <= $#PWD; __wormux_i++)); do
        __wormux_byte=$PWD[__wormux_i]
        if [[ $__wormux_byte != [a-zA-Z0-9/._~-] ]]; then
            builtin printf -v __wormux_byte '%%%02X' $((#__wormux_byte))
        fi
        __wormux_url+=$__wormux_byte
    done
    __wormux_shown=$PWD
}

# Hands the exported variables over, as records that end with NUL: an empty one, "wormux $1", NAME=VALUE, ..., an empty one.
__wormux_send() {
    builtin emulate -L zsh
    if [[ -z $__wormux_keep || ! -p $__wormux_keep ]]; then return 0; fi
    local __wormux_name
    local -a __wormux_records
    __wormux_records=('' "wormux $1")
    for __wormux_name in ${(k)parameters[(R)*export*]}; do
        __wormux_records+=("$__wormux_name=${(P)__wormux_name}")
    done
    # Opened for both directions, so that it never waits for a reader.
    builtin print -rN -- "$__wormux_records[@]" '' 1<>$__wormux_keep
}

# The lines of the file $__wormux_restore. What has become of another kind by the person's files is left alone.
__wormux_put() {
    builtin emulate -L zsh
    case ${(Pt)1} in
        '' | scalar | scalar-*)
            if [[ ${(Pt)1} != *readonly* ]]; then builtin export "$1=$2"; fi
            ;;
    esac
}
__wormux_drop() {
    builtin emulate -L zsh
    if [[ ${(Pt)1} != *readonly* ]]; then builtin unset -- "$1"; fi
}

__wormux_precmd() {
    local __wormux_status=$?
    # Under the person's options, that is before `emulate`. What zsh writes by itself is not written twice.
    local __wormux_percent=
    if [[ -o prompt_percent ]]; then __wormux_percent=yes; fi
    if [[ -n ${HISTFILE-} && ${SAVEHIST-0} -gt 0 && ! -o share_history && ! -o inc_append_history ]] &&
        [[ ! -o inc_append_history_time ]]; then
        builtin fc -AI || :
    fi
    builtin emulate -L zsh
    local __wormux_text=
    if [[ -n $__wormux_ran ]]; then __wormux_text=$'\e]133;D;'$__wormux_status$'\a'; fi
    __wormux_ran=
    if [[ $PWD != "$__wormux_shown" ]]; then __wormux_locate; fi
    # Not 133;A, by which some emulators begin a new line and others do not.
    builtin print -rn -- "$__wormux_text"$'\e]7;file://'"$HOST$__wormux_url"$'\a\e]133;P;k=i\a' >/dev/tty
    __wormux_send prompt
    if [[ -n $__wormux_percent ]]; then PS1=${PS1//$__wormux_ends/}$__wormux_ends; fi
} 2>/dev/null

__wormux_preexec() {
    builtin emulate -L zsh
    PS1=${PS1//$__wormux_ends/}
    __wormux_ran=yes
    builtin print -n '\e]133;C\a' >/dev/tty
} 2>/dev/null

# At the first prompt, when all of the person's files have been read.
__wormux_start() {
    __wormux_begin
    __wormux_precmd
} 2>/dev/null
__wormux_begin() {
    builtin emulate -L zsh
    precmd_functions=(${precmd_functions:#__wormux_start} __wormux_precmd)
    preexec_functions+=(__wormux_preexec)
    if [[ -n $__wormux_history && -n ${HISTFILE+x} && -z $HISTFILE ]] && ((HISTSIZE > 1)); then
        if ((SAVEHIST == 0 && HISTSIZE == 30)); then HISTSIZE=1000; fi  # That is what zsh begins with.
        if ((SAVEHIST == 0)); then SAVEHIST=$HISTSIZE; fi
        HISTFILE=$__wormux_history
        builtin fc -R "$HISTFILE"
    fi
    __wormux_send baseline
    if [[ -n $__wormux_restore && -r $__wormux_restore ]]; then builtin source "$__wormux_restore"; fi
    builtin unfunction __wormux_put __wormux_drop __wormux_start __wormux_begin
}

'builtin' 'typeset' -ga precmd_functions preexec_functions
precmd_functions+=(__wormux_start)

if [[ -r ${ZDOTDIR-$HOME}/.zshenv ]]; then
    'builtin' 'source' "${ZDOTDIR-$HOME}/.zshenv"
fi
