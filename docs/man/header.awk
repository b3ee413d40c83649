# header.awk - the manual page of a header of libmillrace, made from its comments
#
#     awk -f header.awk -v name=worker -v version=0.1.0 -v date=2026-11-25 HEADER >millrace-worker.3
#     awk -f header.awk -v name=worker -v links=DIRECTORY HEADER    instead: a link for each function
#
# What it knows of a header: the first comment is the page's NAME and DESCRIPTION. A comment right
# above declarations belongs to them, up to the next empty line; with functions among them both
# become a subsection. A comment of one line within dashes is a heading, any other one that stands
# alone a paragraph. In a comment, lines indented by two are a list of NAME  TEXT, lines indented by
# four or more are shown as they are, and `word` is set in italics.

BEGIN {
    WIDTH = 72 # of code, beside the margin of a page on a terminal of 80
    DASHED = "^-.*-$"
}

# ---- roff

function code(line) { # a line that is shown as it is
    gsub(/\\/, "\\e", line)
    gsub(/-/, "\\-", line)
    return (line ~ /^[.']/ ? "\\\&" : "") line
}

function marked(text, pattern, font, skip,    out) { # what matches in another font, without its marks
    while (match(text, pattern)) {
        out = out substr(text, 1, RSTART - 1) "\\f" font \
            substr(text, RSTART + skip, RLENGTH - 2 * skip) "\\fR"
        text = substr(text, RSTART + RLENGTH)
    }
    return out text
}

function prose(text) {
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/[a-z]\\-[a-z]/, "&\034", text) # a hyphen within a word stays one
    while (match(text, /\\-[a-z]\034/))
        text = substr(text, 1, RSTART - 1) "-" substr(text, RSTART + 2, 1) substr(text, RSTART + 4)
    gsub(/\034/, "", text)
    text = marked(text, "`[^`]+`", "I", 1)
    text = marked(text, "[*][A-Za-z]+[*]", "I", 1)
    text = marked(text, "mr_[a-z0-9_]+\\(\\)", "B", 0)
    return (text ~ /^[.']/ ? "\\\&" : "") text
}

function trimmed(line) {
    sub(/ +$/, "", line)
    return line
}

function heading(macro, title) {
    print macro " " title
    headed = 1
}

function space() { # between paragraphs; none below a heading
    if (!headed)
        print ".PP"
    headed = 0
}

# ---- comments

function flush_text() { # ends a paragraph
    if (paragraph == "")
        return
    if (paragraph !~ /[.:,;!?]\)?$/)
        paragraph = paragraph "."
    print prose(paragraph)
    paragraph = ""
}

function state(next_state) { # text, list or code
    flush_text()
    if (shown == "code" && next_state != "code")
        print ".EE\n.in"
    if (next_state == "code" && shown != "code") {
        space()
        print ".in +4n\n.EX"
    }
    shown = next_state
}

function comment_text(lines, count,    i, line, indent, gap) {
    shown = ""
    for (i = 1; i <= count; i++) {
        line = lines[i]
        match(line, /^ */)
        indent = RLENGTH
        if (line == "") {
            state(shown == "code" && lines[i + 1] ~ /^    / ? "code" : "")
            if (shown == "code")
                print ""
        } else if (indent >= 4 && shown != "list") {
            state("code")
            print code(substr(line, 5))
        } else if (indent == 2 || indent == 3) {
            state("list")
            sub(/^ +/, "", line)
            gap = match(line, /  +/)
            headed = 0
            print ".TP"
            print ".I " code(gap ? substr(line, 1, gap - 1) : line)
            paragraph = gap ? substr(line, gap + RLENGTH) : ""
        } else {
            sub(/^ +/, "", line)
            if (indent == 0 && (shown != "text" || (line ~ /^Returns? / && paragraph ~ /[.)]$/))) {
                state("text")
                space()
            }
            paragraph = paragraph (paragraph == "" ? "" : " ") line
        }
    }
    state("")
}

# "mr_a, mr_b - does this" is said by the heading: "Does this"
function without_names(lines,    line) {
    line = lines[1]
    if (match(line, /^mr_[a-z0-9_]+(, mr_[a-z0-9_]+)* - /)) {
        line = substr(line, RLENGTH + 1)
        lines[1] = toupper(substr(line, 1, 1)) substr(line, 2)
    }
}

# ---- declarations

function last_break(line, pattern,    cut) { # where it may be cut, so that it fits a terminal; 0
    for (cut = WIDTH; cut > 30; cut--)
        if (substr(line, cut, 1) == " " && substr(line, cut - 1, 1) ~ pattern)
            return cut
    return 0
}

function wrapped(line, indent,    cut, words) {
    words = line ~ /"|^ *\/\*/ # a text or comment is cut at any blank, code behind a comma if it can be
    while (length(line) > WIDTH + (words ? 3 : 0)) {
        cut = words ? 0 : last_break(line, ",")
        if (!cut && !(cut = last_break(line, ".")))
            break
        print code(substr(line, 1, cut - 1))
        line = indent substr(line, cut + 1)
    }
    print code(line)
}

function blanks(count) {
    return sprintf("%*s", count, "")
}

function goes_on(line,    parens) { # a comment or a parameter list that the next line ends
    if (line ~ /\/\*/ && line !~ /\*\//)
        return 1
    line = bare(line)
    parens = gsub(/\(/, "", line)
    return parens > gsub(/\)/, "", line)
}

function show(lines, count,    i, line, rest, at) { # declarations; long comments stand below
    space()
    print ".EX"
    for (i = 1; i <= count; i++) {
        line = lines[i]
        while (goes_on(line) && i < count) {
            rest = lines[++i]
            sub(/ *\\$/, "", line)
            sub(/^ +/, "", rest)
            line = line (line ~ /\($/ ? "" : " ") rest
        }
        sub(/ *\\$/, "", line)
        at = length(line) > WIDTH ? index(line, "/*") : 0
        match(line, /^ */)
        rest = RLENGTH
        if (at > rest + 1) {
            wrapped(trimmed(substr(line, 1, at - 1)), blanks(rest + 4))
            wrapped(blanks(rest + 4) substr(line, at), blanks(rest + 7))
        } else
            wrapped(line, blanks(rest + 4))
    }
    print ".EE"
}

function bare(line) { # without comments and text: what the compiler sees
    gsub(/\/\*[^*]*\*\//, "", line)
    gsub(/"[^"]*"/, "", line)
    return line
}

function functions_of(lines, count,    i, line, names) { # "a(), b()"; kept in `all` for the top
    for (i = 1; i <= count; i++) {
        line = bare(lines[i])
        while (match(line, /[^a-z0-9_]mr_[a-z0-9_]+\(/)) {
            names = names (names == "" ? "" : ", ") substr(line, RSTART + 1, RLENGTH - 2) "()"
            line = substr(line, RSTART + RLENGTH)
        }
    }
    return names
}

function synopsis_of(lines, count,    i, line, all) { # functions alone, each on one line
    for (i = 1; i <= count; i++) {
        line = bare(lines[i])
        sub(/^ +/, "", line)
        all = all (all == "" || all ~ /\($/ ? "" : " ") line
    }
    while (match(all, /; */)) {
        line = substr(all, 1, RSTART)
        all = substr(all, RSTART + RLENGTH)
        if (line ~ /[^a-z0-9_]mr_[a-z0-9_]+\(/ && line !~ /[{}]/)
            synopsis = synopsis line "\n"
    }
}

# ---- the header: units[1..units], each a comment, declarations, or both

function is_guard(line) {
    return line ~ /^#(ifndef|define) MILLRACE_[A-Z]+_H$/ || line ~ /^#(endif|include)/
}

/^#ifdef __cplusplus/ { skipping = 1 }
skipping { if (/^#endif/) skipping = 0; next }
/^#include <millrace\// {
    sub(/.*\//, "")
    sub(/\.h>/, "")
    related = related ",\n.BR millrace\\-" $0 " (3)"
    next
}
is_guard($0) { open = 0; next }

# A comment that begins a line, outside of a declaration
/^\/\*/ && depth == 0 && !in_comment {
    if (declared[units])
        open = 0
    if (!open || told[units])
        units++
    open = 1
    in_comment = 1
}
in_comment {
    line = $0
    last = sub(/ *\*\/$/, "", line)
    sub(/^\/\* ?/, "", line) || sub(/^ \* ?/, "", line)
    if (line != "" || told[units])
        if (!(last && line == ""))
            comment[units, ++told[units]] = line
    if (last) {
        in_comment = 0
        if (comment[units, 1] ~ DASHED)
            open = 0
    }
    next
}
/^$/ && depth == 0 { open = 0; next }
{
    if (!open) {
        units++
        open = 1
    }
    code_line[units, ++declared[units]] = $0
    line = bare($0)
    depth += gsub(/[{]/, "", line) - gsub(/[}]/, "", line)
}

function load(unit,    i) {
    for (i in lines)
        delete lines[i]
    for (i = 1; i <= told[unit]; i++)
        lines[i] = comment[unit, i]
    for (i in declaration)
        delete declaration[i]
    for (i = 1; i <= declared[unit]; i++)
        declaration[i] = code_line[unit, i]
}

function title_of(names,    list, count) { # of many functions the first
    count = split(names, list, ", ")
    return code(count > 4 ? list[1] ", ..." : names)
}

function put_unit(unit,    names, line) {
    load(unit)
    names = functions_of(declaration, declared[unit])
    line = lines[1]
    if (line ~ DASHED) {
        gsub(/^-+ *| *-+$/, "", line)
        heading(".SS", toupper(substr(line, 1, 1)) code(substr(line, 2)))
        return
    }
    if (names == "")
        comment_text(lines, told[unit])
    else if (!headed || told[unit])
        heading(".SS", title_of(names))
    if (declared[unit])
        show(declaration, declared[unit])
    if (names != "") {
        without_names(lines)
        comment_text(lines, told[unit])
    }
}

function link_pages(names,    list, count, i) {
    count = split(names, list, /\(\), |\(\)/)
    for (i = 1; i < count; i++)
        print ".so man3/millrace-" name ".3" >(links "/" list[i] ".3")
}

END {
    for (unit = 2; unit <= units; unit++) {
        load(unit)
        found = functions_of(declaration, declared[unit])
        if (found == "")
            continue
        all = all (all == "" ? "" : ", ") found
        synopsis_of(declaration, declared[unit])
    }
    if (links != "") {
        link_pages(all)
        exit
    }
    load(1)
    summary = lines[1]
    sub(/^[^ ]* - /, "", summary)
    gsub(/\(\)/, "", all)
    print ".\\\" made by docs/man/header.awk from <millrace/" name ".h>: edit that"
    print ".TH MILLRACE\\-" toupper(name) " 3 " date " \"millrace " version "\" \"Library Functions\""
    print ".SH NAME\nmillrace\\-" name (all == "" ? "" : ", ") code(all) " \\- " prose(summary)
    print ".SH LIBRARY\nlibmillrace (\\fIpkg\\-config \\-\\-cflags \\-\\-libs millrace\\fR)"
    print ".SH SYNOPSIS\n.EX\n#include <millrace/" name ".h>\n"
    count = split(synopsis, prototypes, "\n")
    for (i = 1; i < count; i++)
        wrapped(prototypes[i], "    ")
    print ".EE"
    heading(".SH", "DESCRIPTION")
    for (i = 3; i <= told[1]; i++) # behind the name and an empty line
        lines[i - 2] = lines[i]
    comment_text(lines, told[1] - 2)
    for (unit = 2; unit <= units; unit++)
        put_unit(unit)
    print ".SH SEE ALSO\n.BR millrace (7)" related
}
