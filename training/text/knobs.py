"""Topics: what each sampling control does."""

from training.text.topic import Topic


def knob_things(name: str, *others: str) -> tuple[str, ...]:
    """The ways to name a control: bare, with article, with the kind of thing it is."""
    names = (name, *others)
    return names + tuple(
        form
        for each in names
        for form in (
            f"the {each}",
            f"the {each} setting",
            f"the {each} slider",
            f"{each} in sampling",
        )
    )


KNOBS: tuple[Topic, ...] = (
    Topic(
        "sampling",
        "The sampling controls decide how the next token is chosen: temperature, top-p, top-k "
        "and min-p set how daring it is, repetition penalty avoids loops, seed makes it "
        "repeatable.",
        "Stop strings and max new tokens decide when a reply ends. Every request carries its own "
        "settings.",
        simple="They set how bold or how careful my choice of words is.",
        why="A careful setting is good for facts, a bold one for ideas.",
        things=("sampling", "the sampling panel", "sampling parameters"),
        plurals=(
            "the sampling controls",
            "the sampling settings",
            "the sliders",
            "the knobs",
            "sampling parameters",
            "the controls on the side",
        ),
        actions=(
            "set the sampling controls",
            "use the sliders",
            "tune the sampling",
            "change how you pick words",
            "control how you answer",
        ),
        asks=(
            "which sampling controls are there",
            "what do the sliders mean",
            "what are all those controls for",
            "how does sampling work",
            "which knobs can i turn",
            "what can i tune",
            "what generation settings do you have",
        ),
    ),
    Topic(
        "temperature",
        "Temperature sets how daring the choice of tokens is. Low values give safe, repeatable "
        "text, high values more variety; at 0 the likeliest token is always taken.",
        "It scales the scores before a token is drawn. Above 1 the text gets wild and may stop "
        "making sense.",
        simple="It is a dial from careful to playful.",
        why="Facts want a low temperature, ideas a higher one.",
        things=knob_things("temperature", "temp"),
        actions=(
            "set the temperature",
            "change the temperature",
            "lower the temperature",
            "use temperature",
            "make you more creative",
            "get more variety",
            "make the answers less random",
            "make it more random",
            "get wilder answers",
            "make replies more predictable",
        ),
        asks=(
            "what does a high temperature do",
            "what happens at temperature 0",
            "what does a temperature of 1 mean",
            "your answers are boring, can i change that",
            "what if the temperature is zero",
            "how creative can you be",
            "high or low temperature",
            "what does temperature 0.8 change",
        ),
        links=(
            ("what value should i use", "temperature_value"),
            ("what is a good value", "temperature_value"),
            ("which value is best", "temperature_value"),
            ("what should i set it to", "temperature_value"),
        ),
    ),
    Topic(
        "temperature_value",
        "For me a low temperature works best, around 0.3. Large models are often used with 0.6 to "
        "0.8; take 0 when you want the same answer each time.",
        "If replies get strange, lower it; if they are dull, raise it a little.",
        simple="Start low and raise it only if you want surprises.",
        why="A small model like me is unsure more often, so a low temperature keeps it on track.",
        asks=(
            "what temperature should i use",
            "which temperature is best",
            "what is a good temperature",
            "best temperature for you",
            "recommended temperature?",
            "what temperature do you recommend",
            "what are good sampling settings",
            "which settings do you recommend",
        ),
    ),
    Topic(
        "top_p",
        "Top-p keeps the likeliest tokens whose chances add up to p and drops the rest. 0.9 means "
        "the top 90 percent; 1 turns it off.",
        "It is also called nucleus sampling. It adapts: few tokens remain when the model is sure, "
        "many when it is not.",
        simple="It throws away the unlikely words and keeps the likely ones.",
        why="Unlikely tokens are often mistakes, and top-p keeps them out.",
        things=(*knob_things("top-p", "top p", "top_p", "topp"), "nucleus sampling", "the nucleus"),
        actions=("set top-p", "use top p", "change top_p", "choose a value for top p"),
        asks=("what does a top p of 0.5 mean", "what happens with a low top-p", "top-p 0.9?"),
    ),
    Topic(
        "top_k",
        "Top-k lets only the k likeliest tokens take part in the draw. A small k is safe, a large "
        "one varied; 0 turns it off, and 1 always takes the likeliest.",
        "Unlike top-p it keeps the same number of tokens however sure the model is.",
        simple="Only the best few words may be chosen.",
        why="It is a simple guard against very unlikely tokens.",
        things=knob_things("top-k", "top k", "top_k", "topk"),
        actions=("set top-k", "use top k", "change top_k", "choose a value for top k"),
        asks=("what does a top k of 40 mean", "what happens if top-k is 1", "top-k 50?"),
    ),
    Topic(
        "min_p",
        "Min-p drops every token that is less likely than p times the likeliest one. 0.05 is a "
        "usual value; 0 turns it off.",
        "It is strict when the model is sure and loose when it is not, so it works well with a "
        "higher temperature.",
        simple="It drops words that are far less likely than the best one.",
        why="It keeps text sensible even when the temperature is high.",
        things=knob_things("min-p", "min p", "min_p", "minp"),
        actions=("set min-p", "use min p", "change min_p", "choose a value for min p"),
        asks=("what does a min p of 0.1 mean", "what happens with a high min-p", "min-p 0.05?"),
    ),
    Topic(
        "repetition_penalty",
        "The repetition penalty makes tokens that were used already less likely. 1 is off; 1.1 "
        "helps when a reply goes round in circles.",
        "Too much of it hurts: common words are avoided and the text gets odd.",
        simple="It stops me from saying the same thing over and over.",
        why="Small models fall into loops now and then.",
        things=knob_things("repetition penalty", "repeat penalty", "repetition_penalty"),
        actions=(
            "set the repetition penalty",
            "stop you from repeating yourself",
            "avoid loops",
            "prevent repetition",
            "get rid of repeated text",
        ),
        asks=(
            "you say the same thing over and over",
            "you repeat yourself",
            "the reply goes in circles",
            "it is stuck in a loop",
            "the same sentence comes again and again",
            "the model loops",
            "what do i do about repetition",
            "which setting stops loops",
        ),
    ),
    Topic(
        "seed",
        "The seed starts the random choice: the same seed with the same settings and messages "
        "gives the same text.",
        "Any whole number will do. Leave it empty for a new choice each time; a temperature of 0 "
        "needs no seed.",
        simple="It is a number that makes the dice fall the same way again.",
        why="With a fixed seed you can repeat a reply, for example to show it to somebody.",
        things=knob_things("seed", "random seed"),
        actions=(
            "set the seed",
            "use the seed",
            "get the same answer again",
            "get the same reply every time",
            "make the output repeatable",
            "make it deterministic",
            "reproduce an answer",
            "repeat a reply exactly",
        ),
        asks=(
            "why do i get different answers each time",
            "why is the answer different every time",
            "i want the same answer every time",
            "is the output deterministic",
            "can replies be reproduced",
            "why does the answer change when i ask again",
        ),
        links=(("what number do i take", "seed"), ("which value should i use", "seed")),
    ),
    Topic(
        "stop_strings",
        "Stop strings, in the page Stop at, end a reply as soon as one of them is written. The "
        "stop "
        "string itself is not shown.",
        "You can give several, one per line. They are useful when you want only the first line or "
        "a single item.",
        simple="They are words that tell me to be quiet.",
        why="They save time when you know where the reply should end.",
        things=knob_things("stop string", "stop sequence"),
        plurals=("stop strings", "stop sequences", "stop words", "the stop strings"),
        actions=(
            "set a stop string",
            "use stop strings",
            "end the reply at a certain word",
            "make you stop at a word",
            "stop at the first line",
        ),
        asks=(
            "can it stop at a given word",
            "can a reply end at a special word",
            "where do i put a stop word",
        ),
    ),
    Topic(
        "max_new_tokens",
        "Max new tokens, in the page Longest reply, is how long a reply may get. It ends there "
        "even "
        "in the middle of a sentence.",
        "Raise it for longer answers, lower it for quick ones. 100 tokens are about 70 words.",
        simple="It is the limit on how long my answer may be.",
        why="It keeps a reply from running on for ever.",
        things=knob_things("max new tokens", "max tokens", "max_new_tokens", "maximum length"),
        actions=(
            "set max new tokens",
            "make the answers longer",
            "make the replies shorter",
            "get short answers",
            "limit the reply length",
            "change the length of answers",
            "allow longer replies",
            "set the maximum length of an answer",
        ),
        asks=(
            "your answers are too short",
            "your answers are too long",
            "how long can a reply be",
            "is there a limit for replies",
            "i want longer answers",
            "i want shorter answers",
            "what is the longest possible reply",
        ),
    ),
    Topic(
        "typical_p",
        "Typical-p keeps the tokens that are about as surprising as one would expect here, and "
        "drops those that are too dull or too odd.",
        "A value of 1 turns it off. It is an alternative to top-p.",
        simple="It prefers words that are neither too obvious nor too strange.",
        why="Text that people write is rarely the likeliest one at every word.",
        things=(*knob_things("typical-p", "typical p", "typical_p"), "typical sampling"),
    ),
    Topic(
        "presence_penalty",
        "A presence penalty lowers the score of every token that has appeared at all, once is "
        "enough. It nudges the text towards new things.",
        "0 turns it off. The frequency penalty, in contrast, counts how often a token appeared.",
        simple="It gently pushes me to talk about something new.",
        why="It brings variety into long replies.",
        things=knob_things("presence penalty", "presence_penalty"),
    ),
    Topic(
        "frequency_penalty",
        "A frequency penalty lowers the score of a token each time it has appeared, so words used "
        "often become less likely.",
        "0 turns it off. The presence penalty, in contrast, looks only at whether a token "
        "appeared.",
        simple="The more often I use a word, the less I may use it again.",
        why="It thins out words that are used too often.",
        things=knob_things("frequency penalty", "frequency_penalty"),
    ),
    Topic(
        "no_repeat_ngram",
        "No-repeat n-gram forbids any run of n tokens from appearing twice. With 3, no three "
        "tokens in a row are ever repeated.",
        "0 turns it off. It is strict: even names and fixed phrases can't come twice.",
        simple="It forbids saying the same few words in a row twice.",
        why="It is the hardest brake on loops.",
        things=knob_things("no-repeat n-gram", "no repeat ngram", "no_repeat_ngram_size", "n-gram"),
    ),
)
