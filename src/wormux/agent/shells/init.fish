# What Wormux adds to fish, which reads this file after config.fish: docs/shell-integration.md says what and why.
# Names begin with __wormux_; nothing of it is exported, and no program is started.

set -g __wormux_keep "$WORMUX_KEEP"
set -g __wormux_restore "$WORMUX_RESTORE"
set -e WORMUX_KEEP
set -e WORMUX_RESTORE

# Hands the exported variables over, as records that end with NUL: an empty one, "wormux $argv[1]", NAME=VALUE, ..., an
# empty one. Universal variables keep themselves.
function __wormux_send
    test -n "$__wormux_keep"; and test -p "$__wormux_keep"; or return 0
    begin
        printf '\0wormux %s\0' $argv[1]
        for __wormux_name in (set -gxn)
            printf '%s\0' "$__wormux_name=$$__wormux_name"
        end
        printf '\0'
    end >$__wormux_keep
end

# The lines of the file $__wormux_restore.
function __wormux_put
    set -gx $argv[1] $argv[2]
end
function __wormux_drop
    set -eg $argv[1]
end

# Has the prompt end with a mark. It may be defined anew at any time.
function __wormux_mark
    string match -q '*__wormux_fish_prompt*' -- (functions fish_prompt); and return
    functions -e __wormux_fish_prompt
    functions -c fish_prompt __wormux_fish_prompt
    function fish_prompt
        __wormux_fish_prompt
        printf '\e]133;B\a'
    end
end

function __wormux_prompt --on-event fish_prompt
    # Not 133;A, by which some emulators begin a new line and others do not.
    printf '\e]7;file://%s%s\a\e]133;P;k=i\a' $hostname (string escape --style=url -- $PWD)
    __wormux_send prompt
    builtin history save
    __wormux_mark
end

# From 4.0 on, fish writes these marks itself.
if string match -qr '^[0-3]\.' -- $version
    function __wormux_preexec --on-event fish_preexec
        printf '\e]133;C\a'
    end
    function __wormux_postexec --on-event fish_postexec
        printf '\e]133;D;%s\a' $status
    end
end

__wormux_send baseline
test -r "$__wormux_restore"; and source $__wormux_restore
functions -e __wormux_put __wormux_drop
