# ruff: noqa: E501 - lists of phrases read better unbroken
"""How people really type: lower case, no punctuation, typos, words in front and after."""

import random
import re

OPENERS = (
    "hey, ", "hi, ", "hello, ", "ok, ", "so ", "so, ", "um, ", "well, ", "please ", "and ", "but ",
    "sorry, ", "quick question: ", "question: ", "excuse me, ", "one more thing: ", "ok so ",
    "oh, ", "hmm, ", "now ", "hey there, ", "can you tell me, ", "tell me, ", "i wonder, ",
    "another question, ", "alright, ", "ok next: ", "i'm new to this. ", "just curious, ",
    "thanks. ", "thanks, and ", "great, ", "one question, ", "btw ", "actually, ", "cool, ",
    "i was wondering, ", "let me ask: ", "good, ", "ah ok, ", "hi! ", "hey! ", "yo ", "uh ",
    "i have a question: ", "could you tell me, ", "wait, ", "by the way, ", "also, ", "hello! ",
)  # fmt: skip
CLOSERS = (
    " please", " pls", ", please", " thanks", " thx", " exactly", " again", " here", " then", " now",
    " for me", ", thanks", " anyway", " in this app", " in farmesh", " really", "?!", "??", " :)",
    " if i may ask", " actually", " by the way", ", can you tell me", ", do you know", " lol", "...",
    " i'm curious", ", i'm new here", " in short", " at all", " btw", ", any idea", " mate", "!",
    " with this", " in farmesh chat", " precisely", ", tell me", " today", "  ", " i forgot",
)  # fmt: skip
_SLOT = re.compile(r"(\{[^}]*\})")
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj",
    "i": "uo", "j": "hk", "k": "jl", "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "w",
    "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb", "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip
_SHORT = {
    "you": "u", "are": "r", "your": "ur", "please": "pls", "what": "wat", "want to": "wanna",
    "going to": "gonna", "because": "cuz", "to": "2", "for": "4", "and": "&", "with": "w/",
    "what is": "whats", "do not": "dont", "i would like to": "id like to", "okay": "k",
    "the": "teh", "favourite": "fav", "favorite": "fav", "my": "mi", "people": "ppl",
}  # fmt: skip


# Names as people who mind their capitals write them, the first way most often.
_NAMES = {
    "farmesh": ("FarMesh", "FarMesh", "FarMesh", "Farmesh", "farMesh", "FARMESH", "Far Mesh", "far mesh"),
    "farmesh chat": ("FarMesh Chat", "FarMesh Chat", "FarMesh chat", "Farmesh Chat", "FARMESH CHAT"),
    "hugging face": ("Hugging Face", "HuggingFace", "HF"), "huggingface": ("HuggingFace",),
    "petals": ("Petals",), "gradio": ("Gradio",), "python": ("Python",), "openai": ("OpenAI", "OpenAi"),
    "llama": ("Llama", "LLaMA"), "docker": ("Docker",), "nginx": ("NGINX", "Nginx"), "grafana": ("Grafana",),
    "kv cache": ("KV cache", "KV Cache", "KV-cache"), "dht": ("DHT",), "api": ("API",), "gpu": ("GPU",),
    "gpus": ("GPUs",), "cpu": ("CPU",), "ttft": ("TTFT",), "lora": ("LoRA", "Lora"), "mcp": ("MCP",),
    "nat": ("NAT",), "json": ("JSON",), "markdown": ("Markdown",), "cuda": ("CUDA",), "nvidia": ("NVIDIA", "Nvidia"),
    "linux": ("Linux",), "windows": ("Windows",), "mac": ("Mac",), "llm": ("LLM",), "ai": ("AI",), "url": ("URL",),
    "https": ("HTTPS",), "cli": ("CLI",), "english": ("English",), "german": ("German",), "french": ("French",),
    "spanish": ("Spanish",), "qwen": ("Qwen",), "mistral": ("Mistral",), "mixtral": ("Mixtral",), "gemma": ("Gemma",),
    "space": ("Space",), "spaces": ("Spaces",), "mit": ("MIT",), "ram": ("RAM",), "qr": ("QR",),
    "prometheus": ("Prometheus",), "chatgpt": ("ChatGPT",), "gpt": ("GPT",), "pdf": ("PDF",), "ctrl": ("Ctrl",),
}  # fmt: skip
_NAME = re.compile(
    r"(?<![\w{/-])(" + "|".join(sorted(_NAMES, key=len, reverse=True)) + r")(?![\w}/-])"
)

# Words that may stand for each other in a question; each group is tried in both directions.
_ALIKE = tuple(
    tuple(group.split("/"))
    for group in (
        "computer/machine/pc/laptop/box/device/server", "computers/machines/pcs/laptops/boxes/devices",
        "reply/answer/response/output", "replies/answers/responses/outputs",
        "message/question/prompt/text/input", "messages/questions/prompts/texts/inputs",
        "change/switch/modify/adjust/alter/set", "stop/end/quit/halt/kill/finish",
        "start/launch/run/boot/begin/bring up/fire up/spin up", "app/program/thing/software/application/tool",
        "page/site/website/web page/interface/window", "model/llm/language model/ai/network",
        "models/llms/language models/ais", "another/a different/some other/a new/a second", "other/different/new",
        "bigger/larger/smarter/stronger/more powerful/better", "big/large/huge/long", "small/little/tiny",
        "fast/quick/speedy", "faster/quicker/speedier", "slow/sluggish/laggy/so slow", "slowly/so slowly/at a crawl",
        "friend/buddy/colleague/mate/coworker/neighbour/brother/girlfriend/boss", "explain/describe/clarify",
        "friends/people/others/somebody else/someone else/other people/colleagues/students",
        "show/list/display/print", "see/view/check/look at/find out", "use/try/work with/utilize",
        "add/attach/plug in/connect/bring in/include/hook up", "make/create/build/produce", "get/obtain/have",
        "choose/pick/select/decide on", "need/require/have to have", "several/many/multiple/a few/some/two/three",
        "happens/goes on/occurs/takes place", "want/wish/would like/need", "want to/would like to/wish to/need to",
        "mean/stand for/refer to/tell me", "crashed/died/went down/disappeared/vanished/failed/dropped out/quit",
        "crashes/dies/goes down/disappears/vanishes/fails/drops out/leaves/breaks", "missing/gone/absent/lost/not there",
        "limit/cap/restrict/bound", "settings/options/configuration/preferences/config", "in the middle/half way/midway",
        "setting/option/parameter/knob/slider/control/value", "private/secret/confidential/secure", "safe/secure/ok",
        "free/gratis/free of charge", "internet/network/wifi/web/online connection", "browser/chrome/firefox",
        "terminal/shell/console/command line", "write/type/enter/put", "wrong/incorrect/false/mistaken/not right",
        "strange/weird/odd/silly/funny", "nonsense/gibberish/garbage/rubbish/junk", "read/see/look at/get at",
        "everything/all/it all/the whole thing", "all the time/always/constantly/again and again", "join/enter/get into",
        "correct/fix/repair", "data/text/messages/words/information", "store/save/keep/record/log", "where/in which place",
        "shorter/briefer", "each time/every time/always", "purpose/point/use/idea", "part/piece/bit", "go on/continue",
        "called/named", "difference/distinction", "command/instruction", "share/give away/pass on", "host/run/put",
        "link/url/address/web address", "great/super/good/nice/wonderful/excellent", "smart/clever/intelligent/bright",
        "stupid/dumb/useless/bad/terrible/awful", "quickly/fast", "kind of/sort of/type of", "serve/hold/host/run",
        "hello/hi/hey", "maybe/perhaps", "help/assist/support", "work/function/run", "works/functions/runs",
        "useful/helpful/good", "whole/entire/complete", "currently/right now/at the moment/now", "phone/tablet/ipad/mobile",
    )
)  # fmt: skip
_ALIKE_TO = {word: group for group in _ALIKE for word in group}
_BETWEEN = (
    "just", "actually", "really", "even", "exactly", "like", "maybe", "also", "please", "kindly",
    "quickly", "now", "then", "basically", "simply", "again", "still", "ever", "well", "uh", "um",
)  # fmt: skip
_LEFT_OUT = frozenset(
    "the a an do does i is are to of my can you in on it this that there for me be am".split()  # noqa: SIM905
)
_BEFORE = (
    "i am new to this. ", "i just found this project. ", "my colleague told me about it. ",
    "i read the readme. ", "ok here is my problem: ", "i've been trying for an hour. ", "i am lost. ",
    "sorry for the dumb question. ", "not sure if you can help but ", "i'm confused. ", "hmm. ",
    "i hope you can help me. ", "let's see. ", "first question: ", "last question: ", "good. ",
    "i was reading the docs. ", "my boss wants to know: ", "for my notes: ", "one thing i wonder about: ",
    "i tried already, but ", "nice app. ", "ok i get that. ", "help! ", "i looked everywhere. ",
    "maybe you know: ", "just checking: ", "i forgot: ", "silly question maybe: ", "dear guide, ",
    "listen, ", "look, ", "my friend asks ", "before i start, ", "i saw it in the page. ", "say, ",
)  # fmt: skip


def reworded(rng: random.Random, text: str) -> str:
    """`text` in other words: some replaced, one put in between, some left out."""
    words = text.split(" ")
    if rng.random() < 0.5:
        words = _replaced(rng, words, 0.35)
    if rng.random() < 0.12:
        words.insert(rng.randint(0, len(words)), rng.choice(_BETWEEN))
    if len(words) > 3 and rng.random() < 0.12:
        kept = [w for w in words if w not in _LEFT_OUT or rng.random() < 0.4]
        words = kept if len(kept) > 1 else words
    text = " ".join(words)
    if rng.random() < 0.08:
        text = rng.choice(_BEFORE) + text
    return text


def _replaced(rng: random.Random, words: list[str], chance: float) -> list[str]:
    """Words replaced by others like them; pairs of words count as one."""
    done: list[str] = []
    at = 0
    while at < len(words):
        for count in (2, 1):
            phrase = " ".join(words[at : at + count])
            group = _ALIKE_TO.get(phrase)
            if group is not None:
                done.append(rng.choice(group) if rng.random() < chance else phrase)
                at += count
                break
        else:
            done.append(words[at])
            at += 1
    return done


def typed(rng: random.Random, text: str, *, frame: float = 0.35) -> str:
    """`text` as somebody might type it; parts in {braces} are left alone."""
    if rng.random() < frame:
        text = _framed(rng, text)
    if rng.random() < 0.12:
        text = _shortened(rng, text)
    if rng.random() < 0.17:
        for _ in range(1 if rng.random() < 0.75 else 2):
            text = _with_typo(rng, text)
    return _punctuated(rng, _cased(rng, text))


def _framed(rng: random.Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.65:
        text = rng.choice(OPENERS) + text
    if draw > 0.5:
        text = text.rstrip("?!. ") + rng.choice(CLOSERS)
    return text


def _shortened(rng: random.Random, text: str) -> str:
    found = [word for word in _SHORT if f" {word} " in f" {text} "]
    if not found:
        return text
    word = rng.choice(found)
    return f" {text} ".replace(f" {word} ", f" {_SHORT[word]} ", 1).strip()


def _with_typo(rng: random.Random, text: str) -> str:
    """One slip of the finger in a word of four letters or more, outside the braces."""
    parts = _SLOT.split(text)
    spots = [
        (index, match.start(), match.end())
        for index, part in enumerate(parts)
        if not part.startswith("{")
        for match in re.finditer(r"[A-Za-z]{4,}", part)
    ]
    if not spots:
        return text
    index, start, end = rng.choice(spots)
    part = parts[index]
    parts[index] = part[:start] + _slip(rng, part[start:end]) + part[end:]
    return "".join(parts)


def _slip(rng: random.Random, word: str) -> str:
    at = rng.randrange(1, len(word) - 1)
    match rng.randrange(4):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case 2:
            return word[:at] + word[at] + word[at:]
        case _:
            near = _NEIGHBOURS.get(word[at].lower(), "e")
            return word[:at] + rng.choice(near) + word[at + 1 :]


def _cased(rng: random.Random, text: str) -> str:
    """`text` in the capitals that somebody gives it: none, a first one, names, or every word.

    Words from anywhere get some, or capitals alone would tell what belongs to the app.
    """
    parts = [p if p.startswith("{") else _with_capitals(rng, p) for p in _SLOT.split(text)]
    draw = rng.random()
    if draw < 0.3 and parts[0]:
        parts[0] = parts[0][0].upper() + parts[0][1:]
    if draw < 0.15:
        parts = [p if p.startswith("{") else re.sub(r"\bi\b", "I", p) for p in parts]
    elif draw > 0.98:
        parts = [p if p.startswith("{") else p.upper() for p in parts]
    if rng.random() < 0.4:
        parts = [p if p.startswith("{") else p.replace("'", "") for p in parts]
    return "".join(parts)


def _with_capitals(rng: random.Random, text: str) -> str:
    """Names, every word or one word somewhere with capitals; mostly none."""
    if rng.random() < 0.45:
        text = _NAME.sub(lambda found: rng.choice(_NAMES[found[1]]), text)
    draw = rng.random()
    if draw < 0.03:
        return re.sub(r"(?<![\w'`/-])[a-z]", lambda found: found[0].upper(), text)
    starts = [found.start() for found in re.finditer(r"(?<= )[a-z](?=[a-z]{3})", text)]
    if draw < 0.09 and starts:
        at = rng.choice(starts)
        return text[:at] + text[at].upper() + text[at + 1 :]
    return text


def _punctuated(rng: random.Random, text: str) -> str:
    if text[-1:] in "?!.:)" or rng.random() < 0.5:
        return text
    return text + rng.choice(("?", "?", "?", ".", "!", " ?", "??"))
