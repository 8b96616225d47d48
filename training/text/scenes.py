# ruff: noqa: E501 - lists of phrases read better unbroken
"""Longer messages: somebody says what the matter is, and asks in the second half."""

from training.text.phrasings import split

SCENES: dict[str, tuple[str, ...]] = {
    name: split(text)
    for name, text in {
        "what_app": """
            i was told to test this page for my team. what is it supposed to do; my teacher put this link on the board. can you tell me what it is; i see a chat box and a map of squares. what kind of app have i opened;
            hi, first time here. what do people use this for; i'm writing down what every tool in our office does. what does this one do; there is a list of chats and a panel with nodes, so what is this all together""",
        "what_farmesh": """
            the readme mentions farmesh in every line. could someone say what it is; on the command line there is a module called farmesh. what does it do; i know petals and i know chatbots but farmesh is new to me;
            we have a talk about farmesh tomorrow and i know nothing about it; there are two names here, farmesh and farmesh chat. what is the first one; i have to explain farmesh to my boss in one sentence""",
        "what_swarm": """
            in the panel on the side there's a heading that says swarm. what does that refer to; everybody here talks about their swarm. i have no clue what they mean; i understand models, but not what a swarm has to do with them;
            you wrote that my message goes through a swarm. what would that be; i'm a beginner with these things, so please tell me what is behind the word swarm""",
        "what_node": """
            you mentioned that nodes do the work. what are those; in the picture i see two boxes with names, are they nodes and what do they do; i keep hearing that i can run a node. what would it be;
            my friend says his pc is a node now. i have no idea what he's talking about; the text says a node serves a span, but what is a node in the first place""",
        "what_block": """
            the map shows eight little boxes in a row. what does each box stand for; i read that the model is cut into blocks. i'd like to know what a block is made of; serve wants a number of blocks from me but i don't know what they are;
            they say a node holds four blocks. blocks of what, exactly; it lists blocks from 0 to 7 and i wonder what they are""",
        "what_hop": """
            at the end of the small line it reads 2 hops. i don't know what it counts; my reply needed three hops and my friend's only one. what does that tell me; the word hop comes up next to the route. what is it""",
        "what_route": """
            there's a line drawn from node to node while you write. what does it show; i have five nodes and only some are used. how is that decided; for each reply there seems to be a path through the swarm. who works it out;
            i wonder how a message finds its way when there are many nodes""",
        "what_span": """
            my node reports 0:4 and the other one 4:8. what are these numbers; the docs say to give a node a span. what do they mean by that; in the table there is a column named span and i don't know what is in it""",
        "what_session": """
            the docs say a session lives as long as my chat. what does it hold; in the log it opened an inference session. what did it open there; i read that sessions are rebuilt when they are lost, but what is one""",
        "what_kv_cache": """
            each node shows how much cache it has left. what is in this cache; i read that my chat grows in something called the kv cache. what would that be; people say without kv caching it would be much slower. how so and what is it;
            when i edit a message the cache is cut back, it says. which cache do they mean""",
        "what_token": """
            the counter says 300 tokens although i wrote 200 words. what is it counting; speed is given in tokens per second. but what is a token in the end; i always see tokens mentioned, never letters or words. why and what are they""",
        "what_bootstrap": """
            the first command in the list starts a bootstrap. what does that thing do; before i start any node i should start a bootstrap peer. what for; the address i got is said to belong to a bootstrap peer. what kind of peer is that""",
        "what_dht": """
            there is no central server, they say. so how does one node know about the others; the log says it stores something in the dht. what is that; when i start a node the app sees it by itself. by what means""",
        "how_it_works": """
            i typed a question and two computers answered it together. how is that even possible; i'm giving a talk and need to explain in a few words how this produces text; could you tell me step by step what happens between my message and your reply;
            i know what nodes and blocks are. now how do they produce an answer together; my nephew is ten and wants to know how you write your answers""",
        "why_swarm": """
            my pc is quite strong. is there still a reason to use several machines; i see how it is split over many nodes, but not what that is good for; somebody said a swarm is slower than one big gpu. so why have one;
            before i bother my friends for their machines, what would we gain from it""",
        "prefill_decode": """
            the bar says prefill, then it starts to write. what are these two phases; in the benchmark there is a column for prefill and one for decode. what do they measure; a long message takes a while before anything appears, which phase is that""",
        "ttft": """
            in the line under the answer the first figure is 0.4 s. what is it the time of; the benchmark lists ttft in ms. what do the letters stand for; there's a wait and then words come. what do you call that wait""",
        "status_line": """
            when a reply is done there's a grey line with numbers. can you tell me what they are; it says 0.3 s, 25 tokens/s, 120 remembered. how do i read that; my reply has small print under it. what is it telling me""",
        "context_length": """
            i'd like to paste a report of twenty pages. is that too much for you; we have been talking for an hour. will you still know the beginning; the meter on the page is at eighty percent. what happens when it reaches the end;
            i need to know how much text fits into one chat with you""",
        "file_format": """
            i have a folder with pytorch_model.bin in it. will that load; a friend gave me a model as a gguf file. can i serve that; our old checkpoints are pickled. what should i do with them; before i download weights, which kind of file do i need""",
        "petals": """
            years ago i ran a petals server. can i use that here; i read a paper about petals and this looks alike. is it the same thing; we still have a petals swarm at the institute. will this client work with it""",
        "start_app": """
            i've got the folder and a terminal open. what do i type now; i followed the link to the repository and downloaded everything. how do i continue; our admin installed git and python. which command gets the chat going; i would like to run my own copy at home, where do i start;
            everything is downloaded and i am in the project folder. what's next; my colleague showed me this page and i want it on my own laptop""",
        "stop_app": """
            i'm done playing with it and want my machine back. how do i end it; closing the browser did nothing, the nodes still run. how do i end them; i started it with make run an hour ago. now how do i get out of it; the terminal is full of messages and i want it to finish""",
        "run_tests": """
            i changed two lines in the code and want to be sure that nothing broke; before i send a patch, how do i check that all is fine; the project says it is well tested. how do i see that for myself""",
        "requirements": """
            i only have an office laptop from 2015. is that enough for this; we don't have any graphics cards here. can we still use it; i want to try it on a small virtual server with one core. would it run; before i install anything, what does my machine have to have;
            my computer has no nvidia chip and little memory. do i have a chance""",
        "choose_model": """
            you only know about this app. what do i do if i want to ask about history; i have seen others chat with a much larger model here. how do i get that; you are nice but too small for my work. is there something else; i would like my questions answered by a llama with 8 billion parameters;
            the catalogue has three entries. how do i tell the app to take the second one; my questions are about medicine, so i need another model""",
        "add_model": """
            i trained a small llama of my own last week. what do i do so that this app offers it; there's a checkpoint in my home folder that i'd like to chat with. how; the picker only shows guide. how do i get a second entry in there; we have company weights in safetensors. where do we tell the app about them""",
        "add_node": """
            there is a second computer next to me doing nothing. how can it take over some layers; i have access to a server with lots of memory. how do i let it work for my swarm; my friend would like to lend me his pc for the evening. what does he have to run;
            the model is too large for my two machines, so i want a third one to help; our swarm is full in the evening. how do we give it more machines; i bought a used workstation only for this. how does it become part of the swarm""",
        "choose_blocks": """
            my small box has memory for two layers only. how do i tell the node; i don't want the node to choose by itself what it serves. how do i decide; one pc is twice as strong as the other, so it should get more blocks. how""",
        "join_swarm": """
            a friend sent me an address that starts with /ip4. how do i chat with his swarm; at work there is a swarm with a big model. i want my page to use it; i don't want to run nodes here, there are enough elsewhere. how do i use those; somebody gave me the address of a bootstrap peer and now i don't know where it goes""",
        "own_swarm": """
            we are a small club with four computers. how do we make one swarm of them; i have two servers in different rooms and want them to carry a model together; nothing is running yet. in which order do i start bootstrap and nodes; i'd like a swarm that only my family can use. how do i set it up""",
        "swarm_status": """
            i started a node on my other pc but don't know whether it was seen. how do i check; three of us run nodes. where can i see who is online right now; before a demo i want to be sure that every block is served by somebody; some nodes come and go. can i get a list of those that are here""",
        "generate_cli": """
            i work on a server over ssh and have no browser. can i still ask the model something; for a quick test i don't want to open the page. is there a command; i'd like to use the model in a shell pipeline. is that possible""",
        "deploy_space": """
            i have an account at hugging face and would like to run this there. what do i do; i don't own a server but want people to use my chat online. does hugging face work; we want to show the app on a space next week. how do we get it there""",
        "share_link": """
            my parents live far away and want to try this. what can i send them; i'm in a meeting and want everybody to open my chat from home; a customer should see the page for ten minutes without installing anything. how; i don't have a server, but others should reach my page over the internet for today""",
        "use_api": """
            i'm a programmer and would like to send messages from my own script. where do i start; we want to ask the model a hundred questions every night by program; my website should pass questions on to this chat. is there an interface; i have a python notebook and want the model's replies in there""",
        "openai_api": """
            my tool only knows how to speak to openai. can i point it here; all our code uses the openai package. would it run against this app; there's a field for a base url in my editor's plugin. what would i put there; we want to replace a paid api by this app without changing our code""",
        "settings_where": """
            i want to change how many nodes are started. where is that written down; our admin prefers environment variables to files. is that possible; i'd like to keep my own configuration apart from the project's. how; there must be a file with all the values, but i can't find it""",
        "change_port": """
            when i start it, it says that the address is in use. how do i take another one; i already have a web server on this port. can the chat go somewhere else; our firewall opens 8080 only, so the page has to be there""",
        "change_host": """
            i started it on the pc in my study and want to open it on the laptop in the kitchen; the app runs on a server without a screen and i sit at another computer in the same network; on this machine the page works, on my phone it says it can't connect; my kids want to chat from their tablets, all in our wifi""",
        "no_browser": """
            every time i start the app it opens a window that i don't need. how do i switch that off; the machine is in a rack and has no screen. how do i start it there; i start the app from a script and a browser would only be in the way""",
        "open_page": """
            the app says that it runs, but no window came up. where do i go; i closed the tab and the app is still running. how do i get to it again; what do i type in the browser's address bar to see the chat""",
        "regenerate": """
            the answer was fine but i'd like to see another version of it; you gave me a poor answer to a good question. can you have another go; i want to ask exactly the same again without typing it""",
        "edit_message": """
            i wrote the wrong number in my question and already sent it. can it be changed; after reading your answer i noticed a mistake in what i had asked; i'd like to change one word in an earlier message of mine and go on from there""",
        "undo": """
            i asked something silly and would like to have it removed again; the last question led nowhere, so let's go back to before it; can the last thing i said and your answer to it just go away""",
        "stop_reply": """
            you've been writing for a minute and i have seen enough. how do i end that; i asked the wrong thing and the reply is still coming. can i halt it; it's producing page after page. which button makes it stop""",
        "two_tabs": """
            my wife and i would both like to chat, each on her own; i have two topics and don't want them in one conversation; we are twenty people in a course and all want to use it now; i'd like to leave this conversation and begin an empty one""",
        "my_chats": """
            last week you explained something to me and i'd like to read it again. where do i find that; i have far too many conversations by now. how do i get rid of some; i pressed reload and thought that everything was lost. is it; the names of my chats say nothing. can i give them better ones;
            i talked to you in the morning and now i can't find it; what i want to ask is delicate and should not be kept anywhere. is that possible; somebody else uses this browser too. can i remove a chat; there's one chat about ports that i need again. is there a search; will my conversations still be here when i restart the computer""",
        "export_chat": """
            i need to put our conversation into a report. how do i get it out of here; my laptop will be replaced tomorrow and i want to keep my conversations; a colleague exported his chat for me as a json file. how do i open it; for the archive i have to store what was said here. can i save it;
            i'd like to print what we talked about; i want this conversation on paper or at least in a file; yesterday i saved a chat and now i'd like to load it; i use two browsers and want a chat from one in the other""",
        "presets": """
            i spent ten minutes finding good positions for all the sliders. is there a way to store them; for facts i want one set of values and for stories another; at the top of the controls there's a menu with names like lively. what is it; i've turned every slider and now the answers are odd. how do i get back;
            each time i have to set the sliders again. can't it remember them; what would i choose for serious questions, precise or balanced; how do i throw out a set of values that i saved""",
        "system_prompt": """
            i want the model to answer like a patient teacher, in every message. where do i write that; all answers should be in two sentences at most and i don't want to repeat it each time; my chat bot for customers should always be polite and stay with the topic. how do i tell it;
            there is a field for text that comes before the chat. what is it good for; in other chats i could give custom instructions. does this one have that; i'd like to play a game where the model is a knight. where do i put the rules""",
        "sampling": """
            on the right there are many sliders and i don't dare to touch them. what do they do; i'd like to influence how you choose your words. what is there; before i play with the controls, can you tell me what they're for""",
        "temperature": """
            i find the answers dry and predictable. which control would change that; the model invents too much for my taste. what do i turn down; there's a slider with numbers from 0 to 2, named temperature. what happens when i move it""",
        "temperature_value": """
            i see the slider for temperature but don't know where to put it. what would you choose; what would be good values to begin with for a small model like you; i want reliable answers, so which temperature do you suggest""",
        "top_p": """
            one of the sliders is called top-p and stands at 0.9. what does it do; i know temperature already, now what about top-p""",
        "top_k": """
            one of the sliders is called top-k and stands at 0. what does it do; i know top-p already, now what about top-k""",
        "min_p": """
            one of the sliders is called min-p and stands at 0. what does it do; i know top-k already, now what about min-p""",
        "repetition_penalty": """
            the model wrote the same sentence four times in a row. what can i set against that; it starts well and then turns in circles for ever; which slider helps when words come back all the time""",
        "seed": """
            for my paper i need the same text each time i run it. how do i get that; i asked twice and got two different answers. can that be prevented; a friend should see exactly the reply that i saw. how""",
        "stop_strings": """
            the reply should end as soon as a certain line comes. can i set that; i only need the first item of a list. how do i make it stop after it; there's a box that says stop at and i don't know what to write in it""",
        "max_new_tokens": """
            the replies always end after a few lines and i need a whole page. what do i set; one line would be enough for me but it writes a lot. how do i limit it; there's a field called longest reply with a number in it""",
        "typical_p": "further down there is a slider called typical-p. what is it for; i know top-p already, now what about typical-p",
        "presence_penalty": "further down there is a slider called presence penalty. what is it for; there are two penalties, presence is one of them. what does it do",
        "frequency_penalty": "further down there is a slider called frequency penalty. what is it for; there are two penalties, frequency is one of them. what does it do",
        "no_repeat_ngram": "further down there is a slider about repeated n-grams. what is it for; i'd like to forbid that the same few words come twice",
        "missing_node": """
            the block map has an empty field and no answer comes. what do i do; i turned off one pc and now the page says that blocks are not served; it tells me to wait until the map has no gap. how do i close the gap; my friend went home with his laptop and now a part of the model is missing""",
        "node_lost": """
            suppose one of the computers crashes while you are writing. what becomes of the answer; i want to take my laptop out of the swarm. will that break other people's chats; during the reply it said rerouted. did i lose anything; what would happen if i pulled the plug of a node right now""",
        "slow_reply": """
            i've been waiting for a minute and only two words came. what is wrong; yesterday it was quick and today it hardly moves; i'd like the words to come faster. what can i change; each reply takes so long that i fall asleep""",
        "bad_reply": """
            i asked about ports and you told me about tokens. that's not right; what you just said has nothing to do with my question; you're wrong, and i know it because i wrote that code; that was not at all what i asked for""",
        "cut_off": """
            your last message ends in the middle of a word. can i have what comes after; the answer was good but it isn't finished. how do i get the end; you stop after about a hundred words every time, even in mid sentence""",
        "share_fails": """
            i started it with --share and no address was printed. what could be the cause; the link that i sent to my friend opens an error page. what now; we are behind a strict firewall and sharing doesn't work""",
        "space_ports": """
            my swarm runs at home and the page on a space, but the two don't find each other; on the space it says that the swarm doesn't answer, while at home it works; which port should my nodes use so that a space can reach them""",
        "privacy": """
            i'd like to ask about something personal. who would be able to read it; before i type anything here, what happens with my words; my company doesn't allow text to leave the house. is that a problem here; is there anybody who keeps what i write to you""",
        "public_privacy": """
            i want to join a swarm that strangers run. how safe is my text there; the nodes belong to people i don't know. can they find out what i write; i'd like to type a contract into a chat that runs on other people's computers""",
        "offline": """
            i'm going to a place with no network for a week. can i still use this; our machines may not be connected to the internet. does that matter; my provider is down today. why does this chat still work""",
        "cost": """
            this looks too good. how much do i have to pay for it; i'd like to use it every day. will there be a bill; our school has no budget. can we use it anyway""",
        "licence": """
            my company would like to build on this code. is that allowed; i want to change a few things and publish the result. may i; before we use it, our lawyer asks for the licence""",
        "about_model": """
            i'd like to know who or what gives me these answers. which model is it; you seem quite small. how many parameters do you have; who made you and what did they train you on; for the minutes i need the name and size of the model behind this""",
        "sign_in": """
            my page can be reached from the internet and i don't want strangers in it; i'd like each of my colleagues to have a name and a password; how do i make sure that only people i know can open the chat; our server is public, so there should be a login in front""",
        "gpu_node": """
            i have a good graphics card in this pc. will a node make use of it; my second machine has two gpus and i want the node on one of them; does the node take the gpu by itself or do i have to say so""",
        "language": """
            english is hard for me. can we talk in another language; my grandfather only reads german. can the buttons be in german; i wrote to you in french and you didn't understand me. why""",
        "keyboard": """
            when i press enter the message goes off, but i wanted a second line; i'd rather not use the mouse. which keys are there; is there a quick key for ending a reply""",
        "text_only": """
            i have a photo of an error message. how do i show it to you; there is a pdf that i'd like to ask about. how do i get it in here; i can't type well. can i talk to you with my voice""",
        "containers": """
            all our services run in docker. is there an image for this; i want it to run on a server day and night, also after a reboot; we use compose for everything. does the project bring a file for that""",
        "looks": """
            it's late and the white page is blinding me. can that be changed; i'd like to have this on the home screen of my phone; the page is dark and i can hardly read it. how do i make it light""",
    }.items()
}
