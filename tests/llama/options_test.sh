# options_test.sh - the worker's command line: one clear error each, and how it ends
worker=$MILLRACE_BUILD/millrace-worker-llama
failed=0

# ends STATUS WORDS ARGUMENT... - the worker must end with STATUS and say WORDS, in one line if it
# is an error
ends() {
    expected=$1 words=$2
    shift 2
    said=$("$worker" "$@" 2>&1 </dev/null)
    status=$?
    lines=$(printf '%s\n' "$said" | wc -l)
    case $said in
    *"$words"*) ;;
    *) status="$status, without '$words'" ;;
    esac
    [ "$expected" = 0 ] || [ "$lines" = 1 ] || status="$status, in $lines lines"
    [ "$status" = "$expected" ] || {
        echo "millrace-worker-llama $*: $status: $said"
        failed=1
    }
}

ends 0 'usage: millrace-worker-llama' --help
ends 0 'millrace-worker-llama 0.' --version
ends 2 "'--attach' is missing" --model x
ends 2 "'--model' is missing" --attach x
ends 2 "unexpected argument 'more'" --attach x --model y more
ends 2 "unrecognized option '--colour'" --colour
ends 2 "'--max-batch' is '0'" --max-batch 0
ends 2 "'--max-batch' is '-3'" --max-batch -3
ends 2 "'--max-positions' is '8193'" --max-positions 8193
ends 2 "'--threads' is '2x'" --threads 2x
ends 2 "'--threads' is ''" --threads ''
ends 2 "'--memory' is '1T'" --memory 1T
ends 2 "'--memory' is '0'" --memory 0
ends 2 "'--memory' is '99999999999G'" --memory 99999999999G
ends 2 'no-such-domain' --attach no-such-domain-$$ --model y
exit $failed
