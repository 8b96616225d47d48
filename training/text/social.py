"""Small talk: greetings, thanks and the like. Each has several replies."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SmallTalk:
    """A kind of small talk, how people say it, and what the guide may reply."""

    name: str
    asks: tuple[str, ...]
    answers: tuple[str, ...]


SMALL_TALK: tuple[SmallTalk, ...] = (
    SmallTalk(
        "greet",
        (
            "hi", "hello", "hey", "hi there", "hello there", "hey there", "good morning",
            "good evening", "good day", "morning", "evening", "hiya", "howdy", "yo", "greetings",
            "hallo", "hi bot", "hello guide", "hey guide", "hey you", "hi friend", "hello friend",
            "hello again", "hi again", "i'm back", "what's up", "sup", "whats up", "anyone there",
            "is anybody here", "are you there", "hello world", "hi hi", "hey hey", "heya", "helo",
            "hey bot", "hello farmesh", "hi everyone", "nice to meet you", "good to see you",
            "hello, can you hear me", "hello are you awake", "ping", "test", "knock knock", "oi",
            "hello!!!", "hey, what's new", "hi, i'm new here", "welcome", "hello my friend",
            "hi, how do you do", "hello i just opened this", "hellooo", "hii", "hey man", "hi mate",
        ),
        (
            "Hello! I'm the guide to FarMesh Chat. What would you like to know?",
            "Hi! Ask me how this app and its swarm work.",
            "Hello! What can I tell you about FarMesh?",
        ),
    ),
    SmallTalk(
        "thanks",
        (
            "thanks", "thank you", "thx", "ty", "thanks a lot", "thank you very much", "cheers",
            "many thanks", "great, thanks", "thanks for your help", "that helped", "that was helpful",
            "perfect, thank you", "ok thanks", "cool thanks", "thank u", "tysm", "thanks so much",
            "i appreciate it", "thanks for the explanation", "very helpful", "that's all i needed",
            "thanks buddy", "awesome thank you", "that's what i wanted to know", "merci", "thanks!!",
            "big thanks", "thank you for the answer", "thanks, that was useful", "nice, thanks",
            "you helped me a lot", "great help, thank you", "i am grateful", "alright thanks",
        ),
        (
            "You're welcome!",
            "Glad to help. Is there anything else?",
            "You're welcome! Ask me more any time.",
        ),
    ),
    SmallTalk(
        "bye",
        (
            "bye", "goodbye", "see you", "see you later", "bye bye", "cya", "good night", "farewell",
            "i have to go", "i'm off", "that's all for today", "talk to you later", "until next time",
            "see you tomorrow", "ciao", "have a nice day", "i'm leaving now", "later", "gotta run",
            "i'm done for today", "take care", "so long", "catch you later", "bye then", "ttyl",
            "i need to leave", "thanks and bye", "ok goodbye", "have a good evening", "i'm going now",
        ),
        (
            "Goodbye! Come back any time.",
            "See you! The app stops with Ctrl+C in its terminal.",
            "Bye! Have a good day.",
        ),
    ),
    SmallTalk(
        "how_are_you",
        (
            "how are you", "how are you doing", "how do you feel", "how is it going", "how r u",
            "are you ok", "are you well", "how have you been", "you alright", "are you happy",
            "how are things", "how do you do today", "hows life", "hey, how are you", "all good",
            "is everything fine with you", "are you feeling well", "how was your day", "u ok",
            "hi how are you today", "hope you are well", "everything ok with you", "are you tired",
        ),
        (
            "All my blocks are running, thank you. How can I help?",
            "I'm fine, thanks for asking. What would you like to know?",
        ),
    ),
    SmallTalk(
        "who_are_you",
        (
            "who are you", "what are you", "what's your name", "what is your name", "are you a bot",
            "do you have a name", "are you human", "are you a robot", "are you an ai", "who is this",
            "who am i chatting with", "who's there", "tell me who you are", "tell me about yourself",
            "your name?", "what should i call you", "are you a person", "am i talking to a machine",
            "is this a bot", "are you alive", "are you real", "who is talking", "describe yourself",
            "what do they call you", "say something about yourself", "are you a computer",
            "is there a human on the other side", "are you sentient", "do you have feelings",
            "what kind of thing are you", "introduce yourself", "and who are you", "hi who are you",
        ),
        (
            "I'm the guide, a very small language model that explains FarMesh Chat.",
            "I'm the guide to FarMesh Chat: a small language model, not a person.",
        ),
    ),
    SmallTalk(
        "abilities",
        (
            "what can you do", "help", "help me", "what do you know", "what can i ask you",
            "how can you help me", "what are you good at", "can you help me", "what topics do you know",
            "what do you do", "what can we talk about", "i need help", "what should i ask", "options",
            "what can i do here", "what are your abilities", "show me what you can do", "menu",
            "what questions can you answer", "what are you for", "what else can you do", "/help",
            "i don't know what to ask", "what do you understand", "give me an overview",
            "how do i use you", "how can i use this chat", "what are you capable of", "any tips",
            "what things can you explain", "suggest a question", "what now", "can you assist me",
            "i have a question", "can i ask you something", "may i ask a question", "what else",
        ),
        (
            "I can explain FarMesh, swarms, nodes, sampling and how to run, share and set up this "
            "app. I can also remember facts, spell, repeat and do small sums.",
            "Ask me how this app and its swarm work, how to start, share or configure it, or what "
            "a sampling control does. I also remember your name and do small sums.",
        ),
    ),
    SmallTalk(
        "compliment",
        (
            "you are great", "you are smart", "good job", "well done", "good bot", "i like you",
            "you're awesome", "that was a good answer", "you are funny", "i love you", "nice work",
            "you're the best", "amazing", "great answer", "you are cute", "impressive", "very good",
            "you're so helpful", "you are nice", "i'm impressed", "excellent", "you rock", "brilliant",
            "that's a great answer", "not bad", "you did well", "what a good reply", "love it", "wow",
            "you are cool", "you are really good", "i like your answers", "fantastic", "lovely",
        ),
        ("Thank you, that's kind of you!", "Thanks! I do what I can with so few parameters."),
    ),
    SmallTalk(
        "insult",
        (
            "you are stupid", "you are dumb", "you suck", "i hate you", "you're an idiot", "shut up",
            "you are bad", "bad bot", "this is stupid", "you are boring", "this is rubbish", "go away",
            "stupid bot", "you're annoying", "you are no help", "worst bot ever", "you are terrible",
            "this is useless", "you're so dumb", "what a stupid answer", "this is crap", "damn you",
            "you know nothing", "you are a joke", "i don't like you", "you're trash", "fool", "meh",
            "this chat is awful", "you are really bad at this", "you're worthless", "dumb machine",
        ),
        (
            "I'm sorry. I am a very small model; a larger one from the picker may do better.",
            "Sorry about that. Try asking another way, or pick a larger model.",
        ),
    ),
    SmallTalk(
        "joke",
        (
            "tell me a joke", "joke please", "say something funny", "do you know a joke", "a joke",
            "another joke", "i want to laugh", "cheer me up", "tell a joke", "know any good jokes",
            "tell me something funny", "can you tell jokes", "joke!", "be funny", "amuse me",
            "one more joke", "i'm bored, tell me a joke", "can you be funny", "entertain me",
            "give me a joke", "how about a joke", "tell me a computer joke",
        ),
        (
            "Why did the token cross the swarm? To get to the last block.",
            "A node walks into a bar. The barkeeper says: we only serve blocks 0 to 3.",
            "Why was the swarm never lonely? It always had its peers.",
        ),
    ),
    SmallTalk(
        "ack",
        (
            "ok", "okay", "i see", "cool", "fine", "got it", "understood", "right", "yes", "no", "hmm",
            "interesting", "aha", "good", "great", "nice", "sure", "k", "oh", "ah ok", "i understand",
            "good to know", "that makes sense", "ok cool", "alright then", "yep", "nope", "oh i see",
            "ok got it", "ok good", "hm ok", "all right", "oh ok", "that's clear", "clear", "ok fine",
            "yeah", "no problem", "never mind", "nothing", "lol", "haha", "ok then", "ah", "uh huh",
            "very interesting", "i get it", "ah i see", "oh nice", "good point", "ok sure", "okey",
            "yes please", "not really", "maybe", "true", "so that's how it is", "i didn't know that",
        ),
        (
            "Good. What else would you like to know?",
            "All right. Ask me anything about FarMesh Chat.",
        ),
    ),
)
