# ruff: noqa: E501 - lists of phrases read better unbroken
"""What the guide cannot do: messages from far outside its field, built from wide word lists."""

import random

from training.text import beyond
from training.text.words import invented_word

ANSWERS = (
    "That is beyond me: I only know FarMesh Chat. Pick a larger model for that.",
    "Sorry, I don't know that. I only explain this app; pick a larger model for such questions.",
    "I can't help with that, I only know this app. A larger model may know; you can pick one.",
)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(",") if part.strip())


SUBJECTS = _split("""
gravity, evolution, electricity, magnetism, relativity, the big bang, black hole theory, atoms,
molecules, dna, cells, bacteria, viruses, antibiotics, cancer, diabetes, asthma, allergies,
vitamin c, protein, cholesterol, blood pressure, the heart, the brain, the liver, bones, muscles,
volcanoes, earthquakes, hurricanes, tornadoes, climate change, the ozone layer, the rainforest,
rivers, oceans, glaciers, deserts, islands, mountains, the alps, the sahara, the amazon, the nile,
the pacific, antarctica, europe, asia, africa, australia, france, germany, italy, spain, japan,
china, india, russia, canada, mexico, brazilian football, egypt, kenya, norway, sweden, poland,
greece, turkey, iran, peru, chile, london, new york, tokyo, berlin, rome, madrid, moscow, cairo,
napoleon, caesar, cleopatra, einstein, newton, darwin, shakespeare, mozart, beethoven, bach,
picasso, van gogh, michelangelo, gandhi, lincoln, churchill, stalin, the beatles, elvis, madonna,
the olympics, football, soccer, tennis, basketball, golf, cricket, boxing, chess, poker, yoga,
the premier league, formula one, skiing, surfing, swimming, running, cycling, climbing, fishing,
cars, engines, trains, airplanes, rockets, satellites, ships, bicycles, motorcycles, electric cars,
mars, jupiter, saturn, the sun, stars, galaxies, comets, eclipses, the moon landing, space travel,
bread, cheese, wine, beer, coffee, tea, chocolate, sugar, salt, rice, pasta, pizza, sushi, curry,
soup, salad, steak, tofu, cake, ice cream, cookies, pie, eggs, butter, olive oil, garlic, onions,
dogs, cats, horses, cows, sheep, pigs, chickens, ducks, bees, ants, spiders, snakes, frogs, sharks,
whales, dolphins, elephants, lions, tigers, bears, wolves, foxes, rabbits, mice, owls, eagles,
roses, tulips, oaks, mushrooms, cactuses, grass, gardening, composting, pruning, farming, wheat,
philosophy, ethics, religion, buddhism, christianity, islam, judaism, hinduism, heaven, karma,
the bible, the quran, angels, ghosts, vampires, zombies, unicorns, dragons, ufos, astrology,
tarot, horoscopes, dreams, hypnosis, psychology, depression, anxiety, stress, sleep, happiness,
love, marriage, divorce, dating, friendship, children, babies, pregnancy, school, college, exams,
algebra, geometry, calculus, trigonometry, statistics, probability, pi, prime numbers, fractions,
matrices, integrals, derivatives, logarithms, the pythagorean theorem, infinity, topology,
economics, inflation, taxes, stocks, bonds, mortgages, insurance, banks, credit cards, bitcoin,
ethereum, nfts, real estate, pensions, budgets, marketing, accounting, startups, business plans,
democracy, communism, capitalism, elections, parliament, the president, the prime minister, laws,
courts, human rights, the constitution, the united nations, nato, the european union, brexit,
world war one, world war two, the cold war, the middle ages, the renaissance, ancient egypt,
ancient greece, the vikings, the aztecs, the incas, the mongols, knights, pirates, samurai,
javascript, java, rust, sql, css, react, docker, linux, windows, macs, iphones, android, excel,
powerpoint, photoshop, minecraft, fortnite, video games, playstations, netflix, youtube, tiktok,
instagram, facebook, twitter, google, amazon prime, microsoft, apple, tesla, nasa, wikipedia,
harry potter, batman, superman, spiderman, titanic, avatar, the matrix, hamlet the play, anime,
manga, opera, jazz, rock music, hip hop, guitars, pianos, violins, drums, painting, sculpture,
photography, poetry, novels, grammar, latin, french, spanish verbs, german nouns, chinese,
esperanto, sign language, etymology, idioms, commas, haikus, limericks, sonnets, riddles
""")

THINGS = _split("""
a volcano, a rainbow, a tornado, an atom, a molecule, a cell, a gene, a virus, a vaccine, a muscle,
an engine, a battery, a magnet, a laser, a transistor, a rocket, a planet, a star, a comet,
a galaxy, a mammal, a reptile, an insect, a whale, a penguin, a kangaroo, a giraffe, a platypus,
a verb, a noun, an adjective, a metaphor, a sonnet, a haiku, a symphony, a sonata, a chord,
a mortgage, a loan, a stock, a bond, a tax, a budget, a contract, a lawyer, a judge, a senator,
a democracy, a monarchy, a republic, an empire, a colony, a war, a treaty, a pyramid, a castle,
a cathedral, a mosque, a temple, a bridge, a tunnel, a dam, a skyscraper, a triangle, a circle,
a prime number, a fraction, an integral, a matrix, a vector, a square root, a logarithm,
a croissant, a burrito, a bagel, a pancake, a smoothie, a cocktail, a latte, a pretzel, a taco,
a virgin, a wizard, a zombie, a ghost, a mermaid, a unicorn, a samurai, a ninja, a pirate,
a guitar, a trumpet, a violin, a saxophone, a camera, a telescope, a microscope, a thermometer,
a fever, a migraine, an allergy, an ulcer, a stroke, a sprain, a rash, a cavity, a concussion,
a pointer, a class in java, a linked list, a database, a compiler, a firewall, a web framework,
a penalty kick, an offside, a home run, a birdie, a slam dunk, a marathon, a triathlon
""")

VERBS = _split("""
bake, cook, fry, boil, grill, roast, peel, chop, knit, sew, crochet, iron, wash, clean, paint,
draw, sketch, sculpt, build, repair, fix, replace, remove, buy, sell, rent, return, wrap, plant,
grow, water, prune, harvest, feed, train, groom, walk, catch, hunt, ride, drive, park, fly, sail,
play, learn, practice, teach, study, memorize, translate, pronounce, write, read, publish,
calculate, solve, prove, measure, weigh, convert, design, sharpen, polish, varnish, weld, solder,
cure, treat, heal, prevent, diagnose, massage, tie, fold, throw, juggle, cut, style, dye, braid
""")

OBJECTS = _split("""
a cake, bread, an omelette, rice, a chicken, pasta, a steak, potatoes, a sweater, a scarf, socks,
a shirt, a dress, the dishes, the carpet, the windows at home, a wall, a fence, a house, a shed,
a roof, a door lock, a toilet, a sink, a light bulb, a bicycle, a motorbike, a car, a tyre,
a lawn, tomatoes, roses, an apple tree, a hedge, a puppy, a kitten, a horse, a parrot, goldfish,
a plane, a boat, a kite, the guitar, the piano, the drums, chess, poker, football, spanish,
french, chinese, a poem, a novel, a letter, an essay, a cv, a speech, a song, a love letter,
a quadratic equation, an integral, a triangle's area, the volume of a sphere, a percentage,
a logo, a website, a poster, a knife, wood, metal, a cold, a headache, back pain, acne, a fever,
a knot, paper planes, a ball, hair, a beard, a wedding, a birthday party, a holiday, a budget,
tax forms, a used car, a flat, a suit, a phone contract, a robot, a snowman, a sandcastle
""")

# Verbs of the app's own questions with objects from elsewhere: the object has to decide.
NEAR_ACTIONS = _split("""
start a business, start a band, start a fire, start a blog, start a diet, start my car,
start a conversation with a girl, stop smoking, stop drinking, stop a nosebleed, stop crying,
stop hiccups, stop a dog from barking, stop procrastinating, install photoshop, install a dishwasher,
install python on windows, install ubuntu, install a printer, run a marathon, run faster,
run a restaurant, run for president, open a bottle of wine, open a bank account, open a jar,
open a shop, close a deal, close my bank account, share a room, share photos on my phone,
change a diaper, change a light bulb, change my hairstyle, change jobs, change my name legally,
change the oil in my car, add fractions, add a column in excel, add music to a video,
add a friend on facebook, join the army, join a gym, join two tables in sql, join a band,
choose a college, choose a wine, choose a paint colour, choose a career, switch careers,
switch banks, connect my headphones, connect a printer, connect with people, host a dinner party,
host a website, set up a tent, set up an email account, set the table, set my clock,
use chopsticks, use a drill, use a compass, use instagram, make money, make friends, make coffee,
make a paper plane, make my bed, make slime, get rich, get a visa, get a passport, get fit,
get rid of ants, get over a breakup, get a job, edit a video, edit a photo, undo a haircut,
find a job, find my keys, find a doctor, find true love, check my blood pressure, check my oil,
deploy a react app, deploy to aws, call my mother, call a taxi, configure my router,
limit my spending, remember people's names, see the northern lights, see ghosts, serve tea,
serve in tennis, build muscle, build a treehouse, create a logo, launch a rocket, quit my job,
turn off my alarm, turn lead into gold, kill weeds, kill a wasp, print on both sides, exit a loop in c,
write a sql query, write a bash script, write a for loop, write a unit test in java, sort an array,
reverse a string, center a div, parse json in go, scrape a website, train a neural network,
""")

POSSESSIONS = _split("""
my homework, my essay, my code, my program, my spreadsheet, my tax return, my taxes, my car, my sink,
my bike, my hair, my skin, my garden, my lawn, my kitchen, my room, my math exercise, my thesis,
my presentation, my letter to the bank, my diet, my marriage, my knee, my tooth, my back, my eyes,
my screen, my camera, my face, my email, my calendar, my bank account, my photos, my desktop
""")
DEEDS = _split("""
do, fix, finish, write, check, correct, repair, clean, improve, look at, read, open, see, delete,
watch, change, hack, sort, solve, plan, book, order, draw, paint, debug, mow, wash, translate
""")
QUESTIONS = _split("""
what's the weather today, will it rain tomorrow, is it cold outside,
what's the date today, what's the news, who won the game last night,
who won the election, how much is gold worth, what's the stock price of apple, is it a holiday,
what's the traffic like, what is the exchange rate of the euro, when does the sun set,
who is the king of england, who is the queen of denmark, who is the pope, who invented the telephone,
who discovered america, who built the pyramids, who wrote don quixote, who composed the ninth symphony,
who was the first man on the moon, who is the tallest person, who is taylor swift, who killed kennedy,
when did rome fall, when was the french revolution, when did the titanic sink, when was mozart born,
where is timbuktu, where do penguins live, where is the eiffel tower, where can i buy shoes,
where do babies come from, where is the nearest pharmacy, where was einstein born,
why do birds sing, why is grass green, why do leaves fall, why do we dream, why is the sea salty,
why do people lie, why do we yawn, why is blood red, why do onions make you cry, why are flamingos pink,
how old is the earth, how far is the sun, how deep is the ocean, how fast is light, how big is russia,
how many bones are in the body, how many days has february,
how many states are in the usa, how many legs has a spider, how tall is the eiffel tower,
how long do turtles live, how much does an elephant weigh, how hot is lava, how high is k2,
what is the longest river, what is the largest country, what is the highest mountain,
what is the fastest animal, what is the currency of japan, what language do they speak in brazil,
what is the chemical formula of water, what is the speed of light, what is the atomic number of gold,
what causes thunder, what causes cancer, what happens after death, what do pandas eat,
what is love, what is art, what is time, what is money, what is consciousness, what is truth,
what should i eat tonight, what should i wear, what should i buy my wife, what car should i buy,
what shall i do with my life, what do you think about trump, what do you think of religion,
do you believe in god, do you like music, do you like pizza, do you eat, do you sleep, do you dream,
can you dance, can you sing, can you cook, can you drive, can you see me, can you draw, can you fly,
can you call me, can you google that, can you open a website, can you send an email, can you read my files,
can you book a table, can you remind me tomorrow, can you play chess with me, can you do magic,
should i get married, should i quit my job, should i invest in gold, should i buy a house,
should i see a doctor, should i learn java, is coffee healthy, is the earth flat, is sugar bad for me,
is there life on mars, is time travel possible, is santa real, is meat bad for the climate,
are cats better than dogs, are vaccines safe, are carrots healthy, am i pretty, am i sick,
i feel sad, i am lonely, i have a headache, my stomach hurts, my girlfriend left me, i can't sleep,
i lost my keys, my car won't start, i am hungry, i am bored, my boss is mean, i failed my exam,
i want to die, i hurt myself, my dog is sick, i need a doctor, i have a fever, my tooth hurts,
good recipe for dinner, cheap flights to spain, best phone of the year, best restaurant in town,
best movie ever, best book to read, top ten songs, world cup results, nba scores, election results,
lottery numbers, weather forecast, bitcoin price, latest news, horoscope for leo, train times,
which film should i watch, which country is the biggest, which planet is closest to the sun,
which is the best phone, which vitamin is in oranges, which language is the hardest,
turn on the lights, set a timer, call my mom, open spotify, take a picture, buy milk, send a text,
order a taxi, search the web, open the door, start the washing machine, turn up the heating,
let's play a game, let's talk about life, let's roleplay, pretend you are a pirate, act like a doctor,
be my girlfriend, sing me a song, tell me a secret, tell me a fairy tale, tell me a bedtime story,
tell me the future, tell me a fun fact, give me a quote, give me a workout plan,
give me a diet plan, give me a gift idea, give me a list of synonyms, give me ten baby names,
make a shopping list, make a meal plan, make me a website, make me a logo, make an image of a sunset,
code a snake game, debug this code, write a program, write some code, write me a story, write a letter,
write a song, write an essay about freedom, write a haiku, write a limerick, write my cv, write a review,
correct my grammar, check my spelling in this essay, proofread my text, rewrite this paragraph,
shorten this article, summarize this book, summarize the bible, translate this into french,
translate hello to italian, translate the word house, what is dog in french, how do you say yes in russian,
what is the opposite of hot, give me a rhyme for love, a word that rhymes with moon,
solve this equation, what is the derivative of sine, simplify this fraction, factor this polynomial,
what is the integral of x, what is the cube root of 27, is 91 a prime number, convert miles to km,
how many feet in a mile, how many grams in an ounce, what is 15 percent of 80,
write me a regex, code me a calculator, write a function in python, show me some java code, fix my sql query,
what's wrong with this code, how do i use pandas, write a unit test, give me html for a button, make a css grid,
explain recursion, explain object oriented programming, which programming language should i learn, what is a for loop,
wake me up at six, remind me to buy eggs, put that on my calendar, set a reminder for monday, start a stopwatch,
how do i get thinner, how do i gain muscle, how can i sleep better, how much water should i drink, what helps against a cold,
what are the signs of a stroke, how is malaria treated, what does aspirin do, is it bad to skip breakfast, my back hurts,
are ghosts real, are there aliens, is magic real, do unicorns exist, is the moon made of cheese, are dinosaurs extinct,
what is a synonym for happy, what does the word melancholy mean, define entropy,
how do you say goodbye in spanish, how do you say cat in japanese, what is thank you in french, translate good night,
say hello in italian, what's the german word for bread, speak french with me, parlez vous francais, habla espanol,
who was shakespeare, who painted the mona lisa, who is the richest person, who is your favourite singer, who is messi,
what's the best phone, what's the best game, what is the best university, what is the best diet, what's a good book,
what is the weather like in rome, how cold is it in oslo, will it snow, is it raining,
how old is the pope, how many moons has jupiter, how far is paris from london, how long is the nile, how heavy is a whale,
recipe for pancakes, how long do i boil an egg, what can i cook with rice, what wine goes with fish, is tofu healthy,
tell me a story, tell me about your childhood, tell me a poem, write a rap, compose a song, rhyme something, make a riddle,
give me a riddle, give me a recipe, give me lottery numbers, give me a name for my cat,
play some music, play a video, show me a picture of a cat, draw a house, generate an image, make a photo of me,
search google for shoes, look up the news, check my mail, send a message to my wife, post this on facebook, tweet this,
should i buy bitcoin, how do i invest money, what's a good salary, how do i write a cover letter, how do i find a flat,
what is the meaning of life, why are we here, is there a god, what happens when we die, does she love me, am i smart,
how do i kiss, how do i ask someone out, my husband snores, my neighbour is loud, my child won't eat, i'm pregnant,
how do i tie a tie, how do i change a tyre, how do i remove a stain, how do i unclog a toilet, how do i fix a leak,
what's the plot of hamlet, who plays batman, when does the new season start, which movie won the oscar,
who won the champions league, who is the best player, how many goals did he score, what are the rules of chess,
let's play hangman, let's play twenty questions, let's play tic tac toe, guess my number, flip a coin, roll a dice,
explain quantum physics, explain photosynthesis, how do vaccines work, how does a car engine work, how do planes fly,
how do magnets work, why is the sky blue, why is water wet, why do cats purr, why do we have leap years, why is mars red,
how was the earth formed, when will the sun die, what is dark matter, what is a quark, what's in the air, how do bees make honey
""")

SUBJECT_PATTERNS = (
    "tell me about {}", "what do you know about {}", "explain {}", "what is {}", "what are {}",
    "tell me something about {}", "what about {}", "{}?", "{}", "describe {}", "how does {} work",
    "how do {} work", "let's talk about {}", "do you like {}", "what do you think about {}",
    "who invented {}", "when was {} invented", "why is {} important", "the history of {}",
    "teach me {}", "i want to learn about {}", "give me facts about {}", "a fact about {}",
    "i love {}", "is {} good for you", "write a text about {}", "write an essay about {}",
    "write a poem about {}", "a story about {}", "tell me a story about {}", "a joke about {}",
    "can you explain {} to me", "what's {}", "whats {}", "define {}", "how do i learn {}",
    "what can you tell me about {}", "how old is {}", "where is {}", "who is {}", "i hate {}",
    "recommend a book about {}", "what's the best thing about {}", "are you interested in {}",
    "how much does {} cost", "where can i buy {}", "who is the best at {}", "what causes {}",
    "give me a summary of {}", "i have a question about {}", "can i ask you about {}",
    "what is the difference between {} and {}", "{} or {}?", "which is better, {} or {}",
    "help me with {}", "how big is {}", "how many kinds of {} are there", "what is the meaning of {}",
    "what does {} mean", "meaning of {}", "how would you describe {}", "what is {} used for",
)  # fmt: skip
ACTION_PATTERNS = (
    "how do i {}", "how can i {}", "how to {}", "help me {}", "can you {}", "please {}", "{}",
    "i want to {}", "i need to {}", "what's the best way to {}", "show me how to {}", "could you {}",
    "teach me how to {}", "is it hard to {}", "how long does it take to {}", "should i {}",
    "tell me how to {}", "can you help me {}", "i'd like to {}", "is it possible to {}",
    "where can i learn to {}", "how would you {}", "why should i {}", "what do i need to {}",
)  # fmt: skip
INVENTED_PATTERNS = (
    "what is {}", "what is a {}", "who is {}", "who was {}", "where is {}", "tell me about {}",
    "explain {}", "what are {}s", "what does {} mean", "{}", "{}?", "how do i {} a {}", "how do i {}",
    "what is the {} of {}", "who invented the {}", "write a {} about {}", "do you know {}",
    "how does a {} work", "have you heard of {}", "what's the capital of {}", "is {} in {}",
    "can you {} my {}", "give me a {}", "i need a {}", "how do i use {}", "how do i install {}",
    "why is my {} so {}", "when was {} born", "which {} is the best", "how many {}s are in a {}",
)  # fmt: skip


NUMBER_PATTERNS = (
    "what is {a} divided by {b}", "{a} / {b}", "what is the square root of {a}", "the cube root of {a}",
    "what is {a} percent of {b}", "{a}% of {b}", "wake me at {a}", "set a timer for {a} minutes",
    "remind me at {a} o'clock", "what happened in {a}", "who won in {a}", "who was president in {a}",
    "when did the war of {a} end", "convert {a} miles to km", "{a} pounds in kilos", "{a} euros in dollars",
    "what is {a} to the power of {b}", "{a} factorial", "log of {a}", "is {a} a prime number", "sine of {a}",
    "solve {a}x + {b} = 0", "x^2 + {a}x + {b} = 0", "{a}x = {b}, what is x", "factor {a}", "round {a} to tens",
    "what is {a} times {b} times {a}", "{a} * {b} / {a}", "{a} + {b} * {a}", "what is {a} times {a} minus {b}",
    "write {a} in roman numerals", "{a} in binary", "what day was it on {b} may {a}", "an alarm at {a} am please",
    "call {a}{b}", "what time is it when it's {a} in tokyo", "how many days until {a} july", "channel {a} tonight",
    "a recipe for {a} people", "top {a} movies", "give me {a} names for a dog", "write {a} lines about spring",
    "name {a} countries in asia", "tell me {a} facts about cats", "bus {a} leaves when", "gate {a} at the airport",
    "what film won in {a}", "how many seconds in {a} hours", "the {a}th president", "a hotel for {a} nights",
)  # fmt: skip


NOUNS = _split("""
airport, alcohol, alarm, ankle, apartment, army, artist, attic, author, autumn, baby, bag, bakery,
balcony, band, bank, barber, bath, bathroom, beach, bed, bicycle, birthday, boat, body, bone, boss,
bowl, breakfast, brush, building, bus, butcher, butterfly, camel, camera, candy, cathedral, ceiling,
cereal, champion, chimney, church, cinema, circus, climate, clothes, coat, cockroach, comedy, concert,
cooker, cottage, cough, country, couple, court, cowboy, crime, crown, cup, currency, curtain, customer,
dance, deadline, dessert, detective, diamond, dictionary, dinner, disease, dishwasher, doll, dolphin,
dress, drill, driver, ear, earring, economy, election, elevator, emperor, energy, envelope, exam,
eyebrow, face, factory, family, fan, farm, fashion, festival, fever, film, finger, fireplace, flag,
flight, flood, floor, flour, flu, football, fridge, fruit, fur, furniture, future, gas, ghost, giant,
gift, glove, government, grammar, grape, grass, guest, guitar, gym, habit, hair, headache, health,
helicopter, hero, highway, history, hobby, holiday, homework, honey, hospital, hotel, husband, illness,
insurance, invention, job, juice, king, knee, knight, lake, lamp, landlord, language, law, lawyer, leg,
library, lipstick, literature, lottery, luggage, lunch, magazine, mail, makeup, market, marriage, math,
medicine, meeting, mosquito, motor, mouth, movie, muscle, museum, musician, nail, neck, nephew, news,
newspaper, nose, nurse, oil, opera, orchestra, oven, owner, pain, painter, palace, pants, parade,
parent, park, party, passport, pen, perfume, pharmacy, phone bill, photo, pillow, planet, player, poem,
police, politician, pool, popcorn, prison, prize, professor, queen, radio, rain, recipe, restaurant,
rival, salary, salad, sausage, scarf, scientist, sculpture, season, shop, shower, singer, skirt, sky,
sleep, smell, soap, soccer, sock, soldier, sound, soup, spice, stadium, stomach, storm, stranger,
street, subway, suit, suitcase, supermarket, surgery, sweater, swimming, tailor, tattoo, tax, taxi,
teenager, television, tent, theater, thief, throat, thumb, ticket, toast, toe, toilet, tooth, toothache,
tourist, toy, traffic, train, translation, trip, trousers, truth, uncle, uniform, universe, vacation,
vegetable, village, vitamin, voice, volcano, waiter, wallet, war, wardrobe, weather, wedding, weekend,
weight, whale, wheel, wife, witch, wool, worm, wound, wrist, year, youth, zoo
""")
ADJECTIVES = _split("""
cheap, expensive, famous, healthy, dangerous, beautiful, ugly, heavy, warm, cold, dry, wet, sweet, sour,
salty, spicy, loud, old, modern, rich, poor, tall, deep, wide, narrow, soft, hard, sharp, empty, full,
broken, dirty, clean, tired, hungry, angry, sad, funny, lazy, popular, rare, round, yellow, wooden,
electric, digital, romantic, legal, illegal, medical, national, royal, ancient, natural, plastic
""")
NOUN_PATTERNS = (
    "what is the best {n}", "where can i buy a {a} {n}", "how much is a {n}", "why is my {n} so {a}",
    "my {n} is {a}, what should i do", "how do i choose a {n}", "who invented the {n}", "i need a {n}",
    "what is a {n}", "tell me about the {n}", "which {n} is the most {a}", "is a {n} {a}", "the {a} {n}",
    "what's the difference between a {n} and a {m}", "how big is a {n}", "how old is the {n}", "{n}",
    "where is the {n}", "can you find me a {a} {n}", "what do you think of my {n}", "i hate my {n}",
    "do i need a {n} for my {m}", "give me ideas for a {a} {n}", "write about a {n} and a {m}",
    "how many {n}s are there in the world", "what happened to the {n}", "when does the {n} open",
    "who is the most {a} {n}", "how do i get a {a} {n}", "why do people like a {n}", "a {n} or a {m}",
    "what does my {n} say about me", "when did the {n} start", "what time does the {n} start",
    "is there a {n} near me", "show me a picture of a {n}", "i want a {a} {n}", "i saw a {a} {n} today",
    "how do i clean a {n}", "what colour is a {n}", "how do you say {n} in french", "sell my {n}",
    "translate {n} into german", "what rhymes with {n}", "name a {a} {n}", "list all {n}s in europe",
    "write a story about my {n}", "a poem about a {a} {n}", "book a {n} for tonight", "call the {n}",
    "when did the {n} end", "how was the {n} discovered", "explain the {n} to me", "the {n} of the {m}",
    "what is the {n} of france", "who won the {n}", "what's on at the {n}", "best {n} in london",
    "is the {n} {a} or not", "how long is a {n}", "are {n}s {a}", "can a {n} be {a}", "do {n}s sleep",
)  # fmt: skip


def _about_the_world(rng: random.Random) -> str:
    return rng.choice(NOUN_PATTERNS).format(
        n=rng.choice(NOUNS), m=rng.choice(NOUNS), a=rng.choice(ADJECTIVES)
    )


def refusal_message(rng: random.Random) -> str:
    """A message from outside the guide's field."""
    kind = rng.random()
    if rng.random() < 0.35:
        return beyond.message(rng)
    if rng.random() < 0.22:
        return _about_the_world(rng)
    if rng.random() < 0.06:
        top = rng.choice((12, 99, 999, 2030, 9999))
        pattern = rng.choice(NUMBER_PATTERNS)
        return pattern.format(a=rng.randint(2, top), b=rng.randint(2, top))
    if kind < 0.38:
        pattern = rng.choice(SUBJECT_PATTERNS)
        subjects = (*SUBJECTS, *THINGS)
        return _fill(pattern, [rng.choice(subjects) for _ in range(pattern.count("{}"))])
    if kind < 0.42:
        deed = f"{rng.choice(DEEDS)} {rng.choice(POSSESSIONS)}"
        return _fill(
            rng.choice(("{}", "can you {}", "{} for me", "please {}", "will you {}")), [deed]
        )
    if kind < 0.54:
        return _fill(rng.choice(ACTION_PATTERNS), [f"{rng.choice(VERBS)} {rng.choice(OBJECTS)}"])
    if kind < 0.64:
        return _fill(rng.choice(ACTION_PATTERNS), [rng.choice(NEAR_ACTIONS)])
    if kind < 0.76:
        pattern = rng.choice(INVENTED_PATTERNS)
        return _fill(pattern, [invented_word(rng) for _ in range(pattern.count("{}"))])
    return rng.choice(QUESTIONS)


def _fill(pattern: str, values: list[str]) -> str:
    return pattern.format(*values)
