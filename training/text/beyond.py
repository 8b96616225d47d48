# ruff: noqa: E501 - lists of phrases read better unbroken
"""More from outside the field: whole messages as people write them, and patterns with many fillings."""

import random

from training.text.asks_b import REFUSALS_B
from training.text.phrasings import split

LINES = (
    *REFUSALS_B,
    *split("""
    my washing machine leaks; the cat threw up on the carpet; i burned the rice; there's a spider in my room; my plant is dying; the neighbours are noisy; my phone fell into water; the wifi of my hotel is slow;
    i have an exam on friday; i had a fight with my sister; my back is killing me; i can't find my passport; my tooth fell out; the dog ate chocolate; my toddler has a rash; i twisted my ankle;
    what wine goes with lamb; how long does rice keep; can i freeze cooked pasta; how much salt for bread dough; is honey vegan; what can i use instead of eggs; dinner ideas for two; how do i make a good broth;
    how hot should the oven be; what is umami; recipe with lentils; is sushi healthy; which cheese melts best; how do i peel a mango; what do koreans eat for breakfast; how spicy is a habanero;
    who was the first emperor; what started the great fire; why did the empire fall; who led the revolution; when was the wall torn down; how did the plague spread; who ruled egypt; what was the silk road;
    who signed the treaty; what is the magna carta; how long did the siege last; who was joan of arc; when did columbus sail; what did the romans wear; who built the great wall; why did napoleon lose;
    how do birds find their way; why is the ocean blue; what makes thunder; what is inside the earth; why do we get goosebumps; how do bees talk; how does wood burn; what is sound made of;
    how cold is space; what is a light year; can plants feel; why does ice float; what is an isotope; how do muscles grow; what is the ozone layer; why do we have an appendix; how do tides come about; what is dew;
    how does the eye see; how do germs make us ill; what do white blood cells do; how does the heart beat; what does the liver do; why do we sweat; how does the brain store things; what is blood made of;
    what does the spleen do; how does skin heal; why do bones break; how does hearing work; what is an antibody; how does a wound close; what are stem cells; how do lungs work; how does digestion go;
    is this mole dangerous; what helps against hay fever; how much sleep do i need; should i take vitamin d; how do i stop snoring; what lowers blood pressure; is fasting good for me; why am i always tired;
    how do i get abs; how can i run five kilometres; which exercise for the shoulders; how do i lose my belly; how many push ups a day; a training plan please; how do i get taller; how do i stop biting my nails;
    what's a good name for a boy; how do i ask my crush out; my wife is angry; how do i apologise; are soulmates real; how do i make new friends; what gift for my dad; should i text him; how do i stop being shy;
    is my husband cheating; how do i say no; i feel empty; life is hard; i'm heartbroken; why do people cheat; what is happiness; how do i forgive; what should i do with my life; am i a good person;
    is there a soul; does fate exist; what is good and evil; is the universe infinite; who made the world; is there a heaven; do we have free will; what makes us human; why is there suffering; what is real;
    are vampires real; is atlantis real; is bigfoot out there; do fairies exist; is karma real; is the devil real; are miracles possible; do angels exist; is luck real; is hell a place;
    which animal sleeps most; how do cats land on their feet; what do hedgehogs eat; how fast is a cheetah; do fish sleep; how old do parrots get; why do wolves howl;
    which dog breed is best for a flat; how do i train a puppy; how do i trim a rabbit's nails; my goldfish swims upside down; what is the biggest snake; how do ants find food; are sharks dangerous; do bees die when they sting;
    how are diamonds formed; how are coins made;
    how are bricks made; how are mirrors made;
    how does a fridge cool; how do planes stay up; how does gps know where i am; how does a microwave heat; what is a diesel engine; how does a lock work; how do elevators work; how does a violin make sound; how does radar see;
    how does a nuclear plant work; how do solar cells work; how does a piano work; how do zippers work; how does a camera focus; how does a clock tick; how does a submarine dive; how do brakes work;
    best car for a family; best phone under 300; best headphones; which tv should i buy; which washing machine is good; best running shoes; best laptop for students; which camera for beginners; what's a good mattress;
    best coffee machine; which e-bike should i get; what printer should i buy; which tablet is best for drawing; best gaming chair; which watch should i get; which pc should i build; best mouse for gaming; which bank is best;
    what's the best language to learn first; which university is good; best city to live in; which job pays well; best book of all time; best song ever; best pizza in town; which is the best season; best superhero;
    best colour for a kitchen; best insurance for my car; which stock goes up; best savings account; what pension should i choose; how do i pay less tax; is gold a safe investment; how do i get out of debt; how do interest rates work;
    what is inflation now; dollar to euro; how much is a house in berlin; how do i rent out my flat; how do i write an invoice; what's a fair price for a used bike; how do i ask for more salary; how do i quit a job nicely;
    write me an application; write a speech for a wedding; write a toast; write a birthday card; write a complaint; write a love poem; write a short story about a lighthouse; write a slogan for my bakery; write lyrics about rain; write a review of a film;
    write a tweet; write a product description; write a dialogue between two robots; write a letter to santa; write me a bedtime story; write a thank you note; write an obituary; write a joke about lawyers; write a scene for a play; write an ad for shoes;
    write a function that reverses a list; write a loop in java; write a query that joins two tables; write a class for a stack; write some css for a menu; write a web page with a form; write a bash one liner; write a regex for emails; write a sorting algorithm; write a makefile for c;
    write a game in javascript; program a calculator; code a login form in php; make a chart in excel; build me a landing page; refactor this function; why does my loop never end; my code has a null pointer; how do i center text in css; what's a lambda;
    how do i read a csv in python; what is a segmentation fault; explain pointers; what is big o; how do i merge branches in git; what does async mean in javascript; how do i sort a dictionary; what is a mutex; how do i use react hooks; write a decorator;
    translate cat into greek; translate this letter; how do i say cheers in polish; what is hello in hindi; what does carpe diem mean; plural of octopus; synonym for fast; antonym of brave; is it who or whom;
    what is the meaning of the word altruism; define irony; define hubris; meaning of tacit; where does the word robot come from; what is a pun;
    describe a sunset; describe the taste of lemon; describe paris in spring; describe the water cycle; describe your dream house; describe the roman army; describe a black hole; describe the cold war;
    explain the stock market; explain evolution; explain string theory; explain inflation to me; explain why we dream; explain the rules of bridge; explain how a bill becomes law; explain the water cycle; explain chess openings;
    tell me about the black death; tell me about your mother; tell me about greek gods; tell me about the titanic;
    set a timer for ten minutes; wake me in an hour; remind me of mum's birthday; put milk on my list; add an event to my calendar; turn the light off; play my playlist; pause the music; skip this song;
    call the dentist; text my wife; send an email to bob; order sushi; get me a cab; book a train to milan; find a cheap flight; check me in; reserve a room; buy two tickets; find a petrol station; navigate home; what's the traffic on the motorway;
    is it going to snow; do i need an umbrella; temperature outside; how warm is it in madrid; sunset today; what's the pollen count; is there a storm coming; wind speed; full moon when; tide times; air quality here;
    who is winning; who scored; when is the next match; did we win; standings in the league; who got the gold medal; world record for 100 metres; next formula one race; who is the coach; how long is a tennis match; what's a hat trick;
    who sings this; what's the name of that film; who plays the joker; when is the next season out; is the book better than the film; recommend a series; what should i read next; who wrote the iliad; who painted the scream; what is jazz;
    who directed jaws; who invented the piano; who founded apple; who is the queen of pop; who was buddha; who is elon musk; who was marie curie; who is the mayor; who runs google; who discovered radium; who made the first phone;
    capital of vietnam; largest lake in africa; longest bridge; tallest building; smallest country; how many countries are there; flag of sweden; what language is spoken in iran; population of tokyo;
    what time is it in sydney; what date is easter; how many days until christmas; what day was yesterday; is 2028 a leap year; how many weeks in a year; when do clocks change; when does ramadan start; which year is it; today's date?;
    how many litres in a gallon; how many inches is a metre; 5 feet in cm; 100 fahrenheit in celsius; ounces to grams; miles to kilometres; how heavy is a litre of milk; square root of two; derivative of x squared; what is pi; solve for x; area of a circle;
    integrate sin x; what is a logarithm; prove pythagoras; how many degrees in a triangle; is zero even; what's a prime; what is 12 percent of 250; 17 squared; cube of 9; half of a third; what's 3/4 as a decimal; 20 factorial;
    how do i knit a hat; how do i hang a picture; how do i unblock a sink; how do i paint a ceiling; how do i sharpen a knife; how do i iron a shirt; how do i get wine out of a carpet; how do i jump start a car; how do i change a tap; how do i sew a button;
    how do i plant tulips; when do i prune roses; how do i keep snails away; how often do i water a cactus; how do i make compost; how do i remove moss; why are my tomatoes yellow; how do i grow basil; how do i repot an orchid; how do i catch a mouse;
    things to do in rome; is iceland expensive; do i need a visa for india; what to pack for a safari; best time to visit japan; is it safe in rio; how do i get from the airport to the centre; camping in norway; a weekend in prague; cheap hotels near the beach;
    do you have feelings; do you have a girlfriend; are you alive; what did you eat; where do you live; do you like cats; what's your favourite film; are you bored; do you sleep at night; have you been to paris; what's your star sign; can you feel pain; who do you vote for;
    will robots take over; will ai kill us; what is the stock of nvidia; how does chatgpt make money; who will be the next president; will there be war; when will fusion work; what happens in 2050; will it be hot this summer; predict my future; read my palm;
    sing something; rap for me; do a magic trick; draw a horse; paint a sunset; make a meme; create a logo; generate a picture of a castle; show me a map; open youtube; open my files; take a screenshot; translate what i say; scan this; look at this picture and tell me what it is;
    let's play chess; play hangman; ask me a quiz question; truth or dare; tell me a riddle; guess what i'm thinking; rock paper scissors; tell me a fun fact; tell me something i don't know; surprise me; inspire me; motivate me; quote of the day; word of the day; a proverb please;
    help me with my maths homework; check my essay; solve this puzzle; grade my poem; summarise this article; make flash cards; explain this paragraph; what's the moral of the story; who is the main character in moby dick; write my thesis; do my taxes; plan my week; plan a party; make me a diet;
    what makes a good teacher; what makes a good leader; what makes people happy; what makes a marriage last; what makes water wet; what makes cars rust; what makes onions sting; what makes bread rise; what makes us laugh; what makes a city great; what makes a hit song; what makes stars shine;
    is cheese bad for dogs; is milk good for you; is yoga a religion; is latin dead; is pluto a planet; is a tomato a fruit; is glass a liquid; is coffee bad for the heart; is chess a sport; is english hard; is it legal to park here; is it normal to dream every night; is it late to learn piano; is the pope infallible
"""),
)
PATTERNS = (
    "how do {t} work", "how are {t} made", "what makes {t} so {a}", "why are {t} {a}", "are {t} {a}",
    "where do {t} come from", "who came up with {t}", "i need {a} {t}", "which {t} are the best",
    "how do i get rid of {t}", "how do i choose {t}", "what are {a} {t} called", "i bought {t}, are they any good",
    "my {p} wants {t}", "my {p} is {a}", "my {p} hates {t}", "can you get {t} for my {p}", "what do i say to my {p}",
    "write my {p} a message about {t}", "a poem for my {p}", "is it ok to give {t} to my {p}", "how do i teach my {p} about {t}",
    "what's the history of {t}", "do you like {t}", "have you ever tried {t}", "compare {t} and {u}", "{t} or {u}",
    "what's the difference between {t} and {u}", "i'm writing an essay about {t}", "five facts about {t}", "{t} for beginners",
    "how much do {t} cost", "where do i find {a} {t}", "are {t} legal", "how dangerous are {t}", "what do {t} eat",
    "how do you say {t} in spanish", "what is the plural of {t}", "are there {t} on the moon", "what would happen without {t}",
    "how many {t} are there", "explain {t} to a child", "everything about {t}", "i love {t}", "what's wrong with {t}",
    "the best {t} of the year", "what can i do with old {t}", "how do i draw {t}", "how do i clean {t}", "how do i store {t}",
    "how did people live without {t}", "what do {a} {t} mean in a dream", "what's a good name for {t}", "sell me some {t}",
    "are {a} {t} better than {u}", "when were {t} invented", "why do people collect {t}", "why do people like {t}",
)  # fmt: skip
THINGS = split("""
    bees; clouds; tattoos; pancakes; trains; tides; dreams; candles; scissors; umbrellas; mushrooms; earthquakes; guitars; onions; balloons; mirrors; bicycles; pyramids; penguins; taxes; elections; movies; magnets; rockets;
    tomatoes; socks; diamonds; wolves; planets; glaciers; comics; carpets; violins; vitamins; germs; vaccines; muscles; bones; teeth; freckles; dragons; robots in films; stamps; coins; shoes; boots; jeans; hats; wigs; pillows;
    mattresses; ovens; fridges; batteries; solar panels; windmills; tractors; ships; helicopters; drones for photos; cameras; telescopes; novels; poems; operas; symphonies; paintings; statues; castles; bridges; tunnels; islands;
    deserts; rainbows; storms; hurricanes; volcanoes; oceans; sharks; whales; eels; crabs; snails; worms; ants; moths; owls; crows; parrots at the zoo; horses in films; goats on farms; llamas; camels; zebras at night; lions; bears; foxes;
    apples for pies; pears; lemons; melons; olives; beans; noodles; dumplings; sausages; cheeses; cakes; cookies; chocolates; candies; soups; sauces; spices; herbs; roses; tulips; oaks; ferns; cactuses; weeds; lawns; fences; roofs;
    mortgages; pensions; loans; stocks; passports; visas; weddings; funerals; birthdays; festivals; parades; lotteries; casinos; circuses; museums; airports; hotels; ferries; subways; highways; bakeries; barbers; dentists; lawyers; judges
""")
PERSONS = split("""
    wife; husband; boss; dog; cat; baby; teacher; aunt; landlord; neighbour; doctor; boyfriend; girlfriend; grandson; teenager; daughter; son; horse; mother in law; flatmate; trainer; nurse; colleague at work; dentist; cousin
""")
QUALITIES = split("""
    blue; heavy; expensive; popular; dangerous; healthy; poisonous; rare; soft; loud; sticky; old; fresh; wild; cheap; funny; tall; sour; famous; French; red; organic; antique; electric; homemade; scary; boring; magic; frozen; silver
""")


def message(rng: random.Random) -> str:
    """One message that has nothing to do with the app."""
    if rng.random() < 0.6:
        return rng.choice(LINES)
    return rng.choice(PATTERNS).format(
        t=rng.choice(THINGS),
        u=rng.choice(THINGS),
        p=rng.choice(PERSONS),
        a=rng.choice(QUALITIES),
    )
