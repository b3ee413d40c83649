#!/usr/bin/env python3
"""Makes vectors.bin: what Hugging Face's tokenizers makes of many lines, for the check in C.

    python3 -m venv venv && venv/bin/pip install tokenizers==0.21.1
    venv/bin/python make_vectors.py ../data/smollm2-16k.gguf vectors.bin

Each line is encoded with the vocabulary of the GGUF file and each of the pre-tokenizers; these
are put together here from the parts that the models' own tokenizer.json files use (gpt-2, smollm,
llama-bpe, qwen2), or that llama.cpp's list of expressions amounts to (default). The lines are
drawn from a fixed seed. Only code points that Unicode 14 assigns are drawn: newer ones have
different classes in different libraries.

The file, in varints (7 bits a byte, low first, the high bit says that more follow):

    file = "MRTV1\\n" count line*
    line = flags length byte{length} list{5}    flags: 1 = control tokens are recognised
    list = 0                                     the same as the line's first list that was given
         | 1 + count id{count}                   so the first list of a line is never 0

The five lists are those of PRE_TOKENIZERS, in this order. Broken UTF-8 stands as it is; the
reference was given bytes.decode("utf-8", "replace").
"""
import os
import random
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data"))
from make_vocabulary import Reader  # noqa: E402

PRE_TOKENIZERS = ["default", "gpt-2", "smollm", "llama-bpe", "qwen2"]
CONTROL = 3

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
          r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def rounds(*expressions):
    """Cuts by one expression after the other, then spells bytes in the byte-level alphabet."""
    cuts = [pre_tokenizers.Split(Regex(e), "isolated") for e in expressions]
    return pre_tokenizers.Sequence(
        cuts + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def pre_tokenizer(name):
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return {
        "default": lambda: rounds(r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
        "gpt-2": lambda: byte_level,
        "smollm": lambda: pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), byte_level]),
        "llama-bpe": lambda: rounds(LLAMA3 % "{1,3}"),
        "qwen2": lambda: rounds(LLAMA3 % ""),
    }[name]()


class Reference:
    """Hugging Face's tokenizers over the vocabulary of a GGUF file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            pairs = Reader(file.read()).pairs
        get = lambda key: pairs["tokenizer.ggml." + key][1][1]
        tokens = [token.decode() for token in get("tokens")]
        self.vocabulary = {token: i for i, token in enumerate(tokens)}
        self.merges = [tuple(merge.decode().split(" ")) for merge in get("merges")]
        self.control = [t for t, kind in zip(tokens, get("token_type")) if kind == CONTROL]
        self.plain = [self.tokenizer(name, False) for name in PRE_TOKENIZERS]
        self.special = [self.tokenizer(name, True) for name in PRE_TOKENIZERS]

    def tokenizer(self, name, special):
        new = Tokenizer(models.BPE(vocab=self.vocabulary, merges=self.merges, fuse_unk=False,
                                   ignore_merges=name == "llama-bpe"))
        new.pre_tokenizer = pre_tokenizer(name)
        new.decoder = decoders.ByteLevel()
        if special:
            new.add_special_tokens([AddedToken(t, normalized=False) for t in self.control])
        return new

    def encode(self, data, special):
        text = data.decode("utf-8", "replace")
        return [t.encode(text, add_special_tokens=False).ids
                for t in (self.special if special else self.plain)]


# ---- the lines ----

WORDS = """the of and to in is that was for it with as his on be at by had not are but from or have
an they which one you were all her she there would their we him been has when who will no more if
out so up said what its about than into them can only other time new some could these two may first
then do any like my now over such our man me even most made after also did many off before must well
back through years much where your way down should because long each just state people those too mr
how little good world make very year still see own work men day get here old life both between being
water mill wheel race miller grain flour stone river bank stream gate sluice timber turning slowly
unbelievable counterrevolutionary antidisestablishmentarianism tokenizer throughput benchmark
straightforward internationalization Wednesday London Massachusetts McDonald's O'Neill NASA HTTP
e-mail iPhone GitHub x86-64 SmolLM""".split()

SENTENCES = [
    "The mill's wheel doesn't turn unless the water's high; they've said so, and I'll believe it.",
    "Le moulin ne tourne pas sans eau, n'est-ce pas ? L'été dernier, c'était à sec.",
    "Die Mühle am Fluß dreht sich langsam, während der Müller schläft.",
    "El molino giró toda la noche; ¿quién lo habría creído? ¡Nadie!",
    "O moinho não pára: a água corre, o pão cresce, e amanhã há feira.",
    "Il mulino è vecchio, però gira ancora perché l'acqua c'è.",
    "De molen draait z'n rondjes, 's ochtends vroeg al.",
    "Młyn stoi nad rzeką; żółta łąka, źdźbło trawy i gęś.",
    "Mlýn u řeky mele obilí, a příliš žluťoučký kůň pije vodu.",
    "Mylly pyörii hitaasti joen äyräällä, ja yö on valoisa.",
    "A malom őrzője árvíztűrő tükörfúrógépet kapott.",
    "Değirmen ırmağın kıyısında döner; İstanbul'a un gönderir, ısıtır, öğütür.",
    "Cối xay nước quay chậm rãi bên dòng sông, người thợ ngủ say.",
    "Мельница у реки вращается медленно, и мельник спит до утра.",
    "Млин біля річки крутиться повільно, а м'яка їжа ще тепла.",
    "Ο μύλος γυρίζει αργά δίπλα στο ποτάμι, και ο μυλωνάς κοιμάται.",
    "הטחנה ליד הנהר מסתובבת לאט, והטוחן ישן עד הבוקר.",
    "الطاحونة بجانب النهر تدور ببطء، والطحّان نائم حتى الصباح.",
    "آسیاب کنار رودخانه آرام می‌چرخد و آسیابان خواب است.",
    "नदी के किनारे चक्की धीरे-धीरे घूमती है और चक्कीवाला सो रहा है।",
    "নদীর ধারে জাঁতাকল ধীরে ধীরে ঘোরে, আর মিস্ত্রি ঘুমায়।",
    "ஆற்றங்கரையில் ஆலை மெதுவாகச் சுழல்கிறது, ஆலைக்காரர் உறங்குகிறார்.",
    "నది ఒడ్డున మర నెమ్మదిగా తిరుగుతుంది.",
    "ಗಿರಣಿ ನದಿಯ ದಡದಲ್ಲಿ ನಿಧಾನವಾಗಿ ತಿರುಗುತ್ತದೆ.",
    "โรงสีริมแม่น้ำหมุนช้าๆ ขณะที่คนโม่แป้งหลับอยู่",
    "ໂຮງສີແຄມນ້ຳໝຸນຊ້າໆ ແລະ ເຈົ້າຂອງນອນຫຼັບ",
    "မြစ်ကမ်းနားက ကြိတ်စက်ဟာ ဖြည်းဖြည်းလည်နေတယ်။",
    "წისქვილი მდინარესთან ნელა ბრუნავს და მეწისქვილეს სძინავს.",
    "Ջրաղացը գետի ափին դանդաղ պտտվում է, իսկ ջրաղացպանը քնած է։",
    "ወፍጮው በወንዙ ዳር ቀስ ብሎ ይዞራል፣ ባለወፍጮውም ተኝቷል።",
    "水车在河边慢慢转动，磨坊主睡到天亮。今天是2024年3月15日。",
    "水車は川辺でゆっくり回り、粉屋は朝まで眠っている。カタカナとひらがな、漢字。",
    "물레방아가 강가에서 천천히 돌고, 방앗간 주인은 아침까지 잠을 잔다.",
    "ཆུ་འཁོར་ལོ་དལ་བུས་འཁོར་གྱིན་འདུག།",
    "Усны тээрэм голын эрэг дээр аажуухан эргэнэ. ᠮᠣᠩᠭᠣᠯ",
    "កង្ហារទឹកនៅមាត់ទន្លេវិលយឺតៗ។",
]

# First and last code point of what a script's words are drawn from, with its digits if it has any.
SCRIPTS = [
    (0x41, 0x7A), (0xC0, 0x24F), (0x1E00, 0x1EFF), (0x370, 0x3FF), (0x1F00, 0x1FFF), (0x400, 0x52F),
    (0x531, 0x58A), (0x591, 0x5F4), (0x600, 0x6FF), (0x700, 0x74F), (0x780, 0x7B1), (0x7C0, 0x7FA),
    (0x900, 0x97F), (0x980, 0x9FE), (0xA01, 0xA76), (0xA81, 0xAFF), (0xB01, 0xB77), (0xB82, 0xBFA),
    (0xC00, 0xC7F), (0xC80, 0xCF2), (0xD00, 0xD7F), (0xD81, 0xDF4), (0xE01, 0xE5B), (0xE81, 0xEDF),
    (0xF00, 0xFDA), (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x137C),
    (0x13A0, 0x13FD), (0x1401, 0x1676), (0x1680, 0x169C), (0x16A0, 0x16F8), (0x1780, 0x17F9),
    (0x1800, 0x18AA), (0x1A20, 0x1AAD), (0x1B00, 0x1B7E), (0x2C00, 0x2C5F), (0x2D30, 0x2D7F),
    (0x3041, 0x309F), (0x30A0, 0x30FF), (0x3105, 0x312F), (0x4E00, 0x9FFF), (0xA000, 0xA48C),
    (0xAC00, 0xD7A3), (0xFF01, 0xFFEE), (0x10000, 0x1005D), (0x10330, 0x1034A), (0x10400, 0x1044F),
    (0x11000, 0x1106F), (0x12000, 0x12399), (0x13000, 0x1342E), (0x1D400, 0x1D7FF),
    (0x1E900, 0x1E959), (0x20000, 0x2A6DF),
]

BLANKS = [chr(c) for c in [9, 10, 11, 12, 13, 32, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B),
                           0x2028, 0x2029, 0x202F, 0x205F, 0x3000]]
NEAR_BLANKS = [chr(c) for c in [0, 0x1C, 0x1D, 0x1E, 0x1F, 0x180E, 0x200B, 0x200C, 0x200D, 0x2060,
                                0xFEFF, 0xAD, 0x2800, 0x3164]]
EMOJI = ["😀", "🎉", "🚀", "❤️", "☃", "⚙️", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "🇯🇵🇺🇸", "1️⃣", "#️⃣", "🧑🏿‍💻",
         "🫠", "🀄", "⏰", "™️", "©", "✅", "〰️", "👁️‍🗨️", "🤦🏼‍♂️"]
CODE = ["int", "return", "static", "void *", "for", "if", "else", "while", "struct", "->", "==", "!=",
        "<=", ">>=", "&&", "||", "++", "--", "::", "=>", "...", "();", "{", "}", "[i]", "0x1F", "1e-9",
        "\"%s\\n\"", "'\\0'", "// note", "/* why */", "#include <stdio.h>", "def f(self):", "self.x",
        "lambda x: x**2", "SELECT * FROM t WHERE id = 7;", "<div class=\"a\">", "</div>", "&amp;",
        "$HOME/bin", "a_b_c", "camelCase", "SNAKE_CASE", "!important", "@media", "~/.ssh", "C:\\dir",
        "https://example.org/a?b=c&d=%20#e", "user@example.org", "`ls -la | grep x`", "\\frac{a}{b}"]
APOSTROPHES = ["'", "'", "'", "\u2019", "`", "\uff07", "\u02bc"]
ENDINGS = ["s", "t", "re", "ve", "m", "ll", "d", "S", "T", "RE", "Ve", "vE", "M", "LL", "lL", "D", "\u017f",
           "\u212a", "r", "v", "l", "sd", "tt", "x", "", "st", "\ufb06"]
DIGITS = [chr(c) for c in range(0x110000)
          if unicodedata.category(chr(c)) in ("Nd", "Nl", "No")]
BROKEN = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc3", b"\xe2\x82", b"\xe0\x80\x80", b"\xe0\x9f",
          b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x9f\x98", b"\xf0\x80",
          b"\xf0\x8f\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfe",
          b"\xff", b"\xff\xff", b"\xe2\x28\xa1", b"\xf0\x28\x8c\xbc", b"\xf0\x90\x28\xbc", b"\xc3\x28"]


def assigned(low=0, high=0x10FFFF):
    return [chr(c) for c in range(low, high + 1)
            if not 0xD800 <= c < 0xE000 and unicodedata.category(chr(c)) not in ("Cn", "Co")]


class Lines:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.pick = self.random.choice
        self.scripts = [assigned(*script) for script in SCRIPTS]
        self.by_category = {}
        for char in assigned():
            self.by_category.setdefault(unicodedata.category(char), []).append(char)
        self.categories = sorted(self.by_category)

    def times(self, low, high):
        return range(self.random.randint(low, high))

    def prose(self):
        words = [self.pick(WORDS) for _ in self.times(1, 14)]
        words = [w.capitalize() if self.random.random() < .15 else w for w in words]
        words = [w + self.pick([",", ".", ";", "!", "?", "...", ":", "'s", ")"])
                 if self.random.random() < .25 else w for w in words]
        return self.pick(["", "", " ", "\t", "- ", "\"", "("]) + " ".join(words)

    def sentence(self):
        text = self.pick(SENTENCES)
        start = self.random.randrange(len(text))
        return text if self.random.random() < .3 else text[start:start + self.random.randint(5, 40)]

    def contraction(self):
        return "".join(self.pick(["", " ", "I", "you", "\n", "1", "é", "'", "THEY "]) +
                       self.pick(APOSTROPHES) + self.pick(ENDINGS) for _ in self.times(1, 5))

    def script(self):
        letters = self.pick(self.scripts)
        return self.pick([" ", " ", "", "-", "\n", "  "]).join(
            "".join(self.pick(letters) for _ in self.times(1, 7)) for _ in self.times(1, 5))

    def emoji(self):
        return "".join(self.pick(EMOJI + ["", " ", "a", "!", "1"]) for _ in self.times(1, 7))

    def code(self):
        return self.pick(["", "    ", "\t", "\t\t", "        ", "   "]) + self.pick(["", " "]).join(
            self.pick(CODE) for _ in self.times(1, 7)) + self.pick(["", "\n", "\r\n", "\n\n", "\n\t\t"])

    def number(self):
        kind = self.random.random()
        if kind < .5:
            parts = [str(self.random.randrange(10 ** self.random.randint(1, 12))) for _ in self.times(1, 4)]
        else:
            parts = ["".join(self.pick(DIGITS if self.random.random() < .4 else list("0123456789"))
                             for _ in self.times(1, 8)) for _ in self.times(1, 3)]
        return self.pick(["", " ", "$", "-", "x"]) + self.pick([" ", ",", ".", "", "  ", "/", "e", "\n"]).join(parts)

    def blanks(self):
        return "".join(self.pick(BLANKS + NEAR_BLANKS + [" ", "\n", "a", "1", "!", "'s", "é", "\r\n"] * 4) *
                       self.pick([1, 1, 2, 3]) for _ in self.times(1, 10))

    def any_unicode(self):
        return "".join(self.pick(self.by_category[self.pick(self.categories)]) + self.pick(["", "", " ", "a"])
                       for _ in self.times(1, 9))

    def run(self):
        unit = self.pick(["a", "ab", " ", "\n", "\t", "1", "12", "!", "=", "é", "水", "'s", " a", "\r\n", "😀",
                          "\u00a0", "_", "x1", "A", "の", "0 ", "\0"])
        return unit * self.random.randint(20, 300) + self.pick(["", "x", " ", "1", "\n"])

    def text(self):
        return self.pick([self.prose, self.sentence, self.script, self.emoji, self.code, self.number,
                          self.blanks, self.any_unicode])()

    def broken(self):
        data = bytearray(self.text().encode()[:60])
        for _ in self.times(1, 3):
            at = self.random.randint(0, len(data))
            if self.random.random() < .5:
                data[at:at] = self.pick(BROKEN)
            elif at < len(data):
                data[at] = self.random.randrange(256)
        if self.random.random() < .2:
            data = bytearray(self.random.randrange(256) for _ in self.times(1, 24))
        return bytes(data)

    def special(self, control):
        near = ["<|im_end", "|>", "<|", "<|im_start|", "<<|im_end|>>", "<|IM_END|>"]
        return "".join(self.pick(control) if self.random.random() < .5
                       else self.pick(near + [self.prose(), "\n", " ", "user", ""])
                       for _ in self.times(1, 5))

    def all(self, control):
        """(bytes, whether control tokens are recognised), over 10,000 of them."""
        kinds = [(self.prose, 1500), (self.sentence, 900), (self.contraction, 600), (self.script, 2300),
                 (self.emoji, 500), (self.code, 1000), (self.number, 1000), (self.blanks, 1200),
                 (self.any_unicode, 1300), (self.run, 100)]
        lines = [(bytes([byte]), False) for byte in range(256)]
        lines += [(s.encode(), False) for s in SENTENCES]
        lines += [(make().encode(), False) for make, count in kinds for _ in range(count)]
        lines += [(self.broken(), False) for _ in range(1300)]
        lines += [(text.encode(), own) for text in (self.special(control) for _ in range(250))
                  for own in (False, True)]
        return lines


def every_code_point():
    """For a look by hand: each code point of Unicode 14 among letters, digits and blanks."""
    chars = assigned()
    return [("".join(f"a{c}1{c}{c} {c}\n{c}'{c}" for c in chars[i:i + 8]).encode(), False)
            for i in range(0, len(chars), 8)]


# ---- the file ----

def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes(out) + bytes([number])


def record(data, own, lists):
    out = [varint(own), varint(len(data)), data]
    for ids in lists:
        if ids == lists[0] and ids is not lists[0]:
            out.append(varint(0))
        else:
            out.append(varint(len(ids) + 1) + b"".join(map(varint, ids)))
    return b"".join(out)


def main(vocabulary, out, what="lines"):
    reference = Reference(vocabulary)
    lines = every_code_point() if what == "every" else Lines(3).all(reference.control)
    with open(out, "wb") as file:
        file.write(b"MRTV1\n" + varint(len(lines)))
        for data, own in lines:
            file.write(record(data, own, reference.encode(data, own)))


if __name__ == "__main__":
    main(*sys.argv[1:])
