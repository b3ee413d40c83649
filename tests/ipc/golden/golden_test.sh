# golden_test.sh - all vectors; each file counts as a case, in the words of a Check program
status=0 passed=0 failed=0
for file in "$MILLRACE_TEST_DATA"/ipc/golden/vectors/*.jsonl; do
    if output=$("$MILLRACE_BUILD"/tests/ipc/golden/golden "$file"); then
        passed=$((passed + 1))
    else
        failed=$((failed + 1)) status=1
        echo "$output"
    fi
    echo "$(basename "$file"): $(echo "$output" | tail -n 1)"
done
echo "$((100 * passed / (passed + failed)))%: Checks: $((passed + failed)), Failures: $failed, Errors: 0"
exit $status
