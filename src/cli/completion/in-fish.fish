# fish completion for PROGRAM; to load it: PROGRAM completion fish | source
function __PROGRAM_complete
    set -l words (commandline -opc)
    set -e words[1]
    set -l current (commandline -ct)
    set -l lines (PROGRAM complete --word=$words "--word=$current" 2>/dev/null)
    # A completion of --option=VALUE is the whole word.
    set -l before (string match -r -- '^--[^=]+=' $current)
    switch "$lines[1]"
        case files
            for path in (__fish_complete_path (string replace -r -- '^--[^=]+=' '' $current))
                echo "$before$path"
            end
        case words
            set -e lines[1]
            for line in $lines
                echo "$before$line"
            end
    end
end
complete -c PROGRAM -f -a '(__PROGRAM_complete)'
