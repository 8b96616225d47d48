# ruff: noqa: E501 - lists of phrases read better unbroken
"""Words to tell and to remember: lists of usual ones, and invented ones without end."""

import random


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(",") if part.strip())


_ONSETS = (
    *_split("""
b, c, d, f, g, h, j, k, l, m, n, p, r, s, t, v, w, z, br, ch, cl, cr, dr, fl, fr, gl, gr, kr, ph, pl,
pr, qu, sc, sh, sk, sl, sm, sn, sp, st, str, th, tr, tw, vl, wh, x, y, zh
"""),
    "",
)
_VOWELS = _split(
    "a, e, i, o, u, a, e, i, o, u, y, ai, au, ea, ee, ei, eo, ia, ie, io, oa, oo, ou, ue, ö, é, á, ü"
)
_CODAS = _split("""
b, d, f, g, k, l, m, n, p, r, s, t, x, z, ck, ch, ll, lm, ln, mp, nd, ng, nk, nt, rd, rk, rn, rt, sh,
sk, ss, st, th, tz
""")

NAMES = _split("""
Anna, Ben, Clara, David, Emma, Felix, Grace, Henry, Isla, Jack, Kate, Leo, Mia, Noah, Olivia, Paul,
Quinn, Rosa, Sam, Tina, Uma, Victor, Wendy, Xavier, Yara, Zoe, Alice, Bob, Carol, Dan, Eve, Frank,
Gina, Hugo, Iris, John, Julia, Karl, Laura, Max, Nina, Oscar, Pia, Ralf, Sara, Tom, Ursula, Vera,
Will, Xenia, Yusuf, Zack, Ahmed, Fatima, Ali, Aisha, Omar, Layla, Chen, Wei, Mei, Yuki, Hiro, Kenji,
Priya, Raj, Anil, Sunita, Ivan, Olga, Sergei, Natasha, Pedro, Maria, Jose, Carmen, Luis, Lucia,
Jean, Claire, Pierre, Amelie, Luca, Giulia, Marco, Sofia, Lars, Astrid, Sven, Freya, Piotr, Ewa,
Kwame, Ama, Chidi, Zainab, Thabo, Naledi, Kiri, Tane, Malia, Keanu, Tiago, Beatriz, Aylin, Emre,
Sean, Niamh, Rhys, Megan, Ewan, Fiona, Liam, Lucy, Adam, Ella, Ryan, Chloe, Dylan, Ruby, Mike, Joe,
Peter, Susan, Linda, George, Nancy, Steve, Karen, Brian, Helen, Kevin, Janet, Martin, Ruth, Simon,
Tim, Jane, Mark, Lisa, Eric, Amy, Alex, Sasha, Robin, Kim, Jo, Pat, Charlie, Jamie, Morgan, Taylor
""")
PLACES = _split("""
London, Paris, Berlin, Rome, Madrid, Lisbon, Vienna, Prague, Dublin, Oslo, Helsinki, Warsaw, Athens,
Cairo, Lagos, Nairobi, Accra, Tunis, Delhi, Mumbai, Tokyo, Osaka, Seoul, Beijing, Shanghai, Bangkok,
Manila, Jakarta, Sydney, Perth, Auckland, Toronto, Montreal, Boston, Chicago, Austin, Denver, Miami,
Lima, Bogota, Quito, Santiago, Havana, Munich, Hamburg, Cologne, Zurich, Geneva, Basel, Turin, Milan,
Naples, Porto, Seville, Leeds, York, Bristol, Cardiff, Glasgow, Bergen, Malmo, Ghent, Lyon, Nice,
New York, Los Angeles, San Diego, Cape Town, Hong Kong, Tel Aviv, Buenos Aires, Rio, St Gallen,
Germany, France, Spain, Italy, Japan, Canada, Mexico, Kenya, Peru, Chile, Norway, Ireland, Scotland
""")
PET_NAMES = _split("""
Rex, Bella, Max, Luna, Charlie, Lucy, Rocky, Daisy, Buddy, Molly, Coco, Ruby, Oscar, Milo, Simba,
Tiger, Shadow, Snowy, Felix, Garfield, Nemo, Bubbles, Fluffy, Spot, Patch, Pepper, Ginger, Cookie,
Peanut, Muffin, Waffles, Pickles, Marble, Pebbles, Sparky, Zorro, Hercules, Princess, Queenie, Duke
""")
ANIMALS = _split("""
dog, cat, hamster, parrot, rabbit, turtle, goldfish, horse, pony, snake, lizard, guinea pig, mouse,
rat, budgie, canary, duck, goat, pig, chicken, ferret, hedgehog, tortoise, frog, spider, gecko
""")
PEOPLE = _split("""
sister, brother, mother, father, mum, mom, dad, son, daughter, wife, husband, friend, best friend,
boss, teacher, neighbour, neighbor, cousin, uncle, aunt, grandmother, grandfather, grandma, grandpa,
niece, nephew, girlfriend, boyfriend, partner, colleague, roommate, doctor, dentist, coach, landlord
""")
BELONGINGS = _split("""
car, boat, bike, house, street, school, company, team, band, village, town, phone, computer, laptop,
robot, plant, teddy bear, guitar, project, shop, garden, ship, blog, school, club, van, horse, drone
""")
COLOURS = _split("""
red, blue, green, yellow, orange, purple, pink, brown, black, white, grey, gray, gold, silver,
turquoise, crimson, navy, beige, maroon, lilac, olive, cyan, magenta, indigo, dark blue, light green
""")
FOODS = _split("""
pizza, pasta, sushi, curry, soup, salad, rice, bread, cheese, chocolate, ice cream, pancakes, tacos,
noodles, dumplings, falafel, hummus, kebab, burgers, fries, fish and chips, steak, tofu, potatoes,
spinach, mushrooms, paella, risotto, ramen, pho, goulash, waffles, apple pie, cheesecake, pretzels
""")
DRINKS = _split("""
coffee, tea, water, milk, juice, lemonade, cola, beer, wine, cider, cocoa, green tea, orange juice
""")
FRUITS = _split("""
apples, bananas, cherries, grapes, mangoes, strawberries, peaches, pears, plums, melons, kiwis
""")
CREATURES = _split("""
lion, tiger, elephant, giraffe, penguin, dolphin, whale, owl, eagle, fox, wolf, bear, panda, koala,
otter, zebra, monkey, shark, octopus, bee, butterfly, kangaroo, llama, sloth, badger, raccoon
""")
SPORTS = _split("""
football, tennis, basketball, swimming, running, cycling, chess, hockey, golf, cricket, rugby,
volleyball, badminton, climbing, skiing, rowing, boxing, karate, surfing, table tennis
""")
HOBBIES = _split("""
reading, painting, gardening, cooking, hiking, fishing, knitting, singing, dancing, photography,
drawing, baking, chess, pottery, birdwatching, woodwork, writing, sewing, yoga, collecting stamps
""")
INSTRUMENTS = _split("""
piano, guitar, violin, flute, drums, trumpet, harp, saxophone, clarinet, ukulele, accordion, bass
""")
JOBS = _split("""
teacher, doctor, baker, pilot, farmer, cook, driver, painter, writer, lawyer, engineer, programmer,
student, carpenter, gardener, electrician, dentist, singer, musician, scientist, librarian, waiter,
mechanic, designer, firefighter, vet, architect, journalist, photographer, bus driver, nanny, tailor
""")
MONTHS = _split("""
January, February, March, April, May, June, July, August, September, October, November, December
""")
SEASONS = ("spring", "summer", "winter", "fall", "autumn")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TITLES = _split("""
Titanic, Alien, Frozen, Avatar, Casablanca, Emma, Ulysses, Momo, Matilda, Heidi, Hamlet, Psycho,
The Hobbit, Star Wars, The Lion King, Moby Dick, Jane Eyre, Blue Moon, Yesterday, Imagine, Amelie
""")
COMMON = _split("""
apple, table, window, garden, river, mountain, cloud, paper, candle, bottle, mirror, hammer, ladder,
blanket, pencil, basket, button, carpet, feather, forest, island, jacket, kettle, letter, magnet,
needle, ocean, pillow, rocket, saddle, tunnel, umbrella, velvet, wagon, yogurt, zipper, anchor,
bridge, castle, desert, engine, falcon, ginger, harbor, insect, jungle, kitten, lantern, marble,
nectar, orchid, parade, quartz, ribbon, shadow, temple, valley, walnut, yellow, zephyr, moon, sun,
star, tree, book, chair, door, key, clock, spoon, plate, bread, milk, salt, fish, bird, horse, stone,
sand, snow, rain, wind, fire, ice, gold, iron, glass, wood, green, happy, little, quick, brave, quiet,
strong, clever, bright, gentle, school, music, summer, winter, morning, evening, dream, story, song,
word, name, game, ball, hand, foot, head, heart, house, tiger, lion, dog, pig, cow, hat, shoe, shirt,
coat, train, plane, ship, road, city, town, people, mother, father, sister, brother, baby, doctor,
teacher, farmer, kitchen, bedroom, coffee, sugar, butter, potato, tomato, carrot, onion, banana,
cherry, peach, computer, internet, keyboard, network, token, node, block, session, cache, model,
elephant, giraffe, monkey, rabbit, spider, turtle, dragon, wizard, pirate, planet, purple, silver
""")
EVERYDAY = _split("""
able, about, above, across, after, again, age, air, airport, alone, always, animal, answer, any, apart, arm, around, art, ask,
away, back, bag, bank, base, bath, beach, bean, beard, beat, because, bed, bee, before, begin, behind, bell, below, belt, best,
between, big, bill, bit, black, blood, blow, blue, board, boat, body, bone, born, both, bottom, bowl, box, boy, branch, break,
breath, bring, broken, brown, brush, build, burn, bus, busy, buy, cake, call, camera, camp, card, care, carry, catch, center,
chain, chance, change, cheap, cheese, chest, chicken, child, circle, class, clean, clear, climb, cloth, cold, color, come,
common, cook, cool, copy, corn, corner, cost, cotton, count, country, course, cousin, cover, cream, cross, crowd, cry, cup,
curtain, cut, daily, dance, danger, dark, date, day, dead, deep, degree, desk, dinner, dirty, dish, doubt, down, draw, dress,
drink, drive, drop, dry, dust, early, earth, east, easy, edge, egg, eight, empty, end, engine, enough, every, exact, example,
eye, face, fact, fair, fall, family, famous, far, farm, fast, fat, fear, feed, feel, fence, field, fifty, fill, film, final,
find, finger, finish, first, flag, flat, floor, flour, flower, fly, follow, food, forest, forget, fork, forty, four, fox,
free, fresh, friday, friend, front, fruit, full, funny, future, girl, give, glad, glove, goat, good, grass, gray, great,
ground, group, grow, guess, guest, guide, guitar, hair, half, hall, happen, hard, hate, hear, heavy, height, help, hen, here,
high, hill, hold, hole, holiday, home, honey, hope, hospital, hot, hotel, hour, hungry, hurry, husband, idea, inside,
iron, joke, juice, just, keep, kind, king, kiss, knee, knife, know, lady, lake, lamp, land, language, large, last, late,
laugh, law, lazy, lead, leaf, learn, leave, left, leg, lemon, lesson, level, library, lie, life, light, lip, list, listen,
live, long, look, lost, loud, love, low, lucky, lunch, machine, main, make, man, many, map, market, match, meal, mean, meat,
meet, melon, memory, message, metal, middle, mile, mind, minute, mix, money, month, mouse, mouth, move, museum, name, narrow,
nature, near, neck, need, never, new, news, next, nice, night, nine, noise, north, nose, note, nothing, number, nurse, nut,
office, often, oil, old, once, open, orange, order, other, outside, oven, over, owl, page, paint, pair, pan, park, part,
party, pass, path, pay, pen, pepper, perfect, phone, photo, piano, picture, piece, pink, place, plan, plant, play, please,
pocket, point, police, poor, post, pot, present, press, pretty, price, print, prize, proud, pull, pupil, push, queen,
question, quilt, radio, reach, read, ready, real, red, repeat, reply, rest, rice, rich, ride, right, ring, rise, roof, room,
root, rope, rose, round, rule, sad, safe, sail, salad, same, sauce, save, scarf, science, sea, season, seat, second, secret,
seed, sell, send, serve, seven, shape, share, sharp, sheep, shelf, shine, shop, short, shoulder, shout, show, sick, side,
sign, silly, simple, six, size, skin, skirt, sky, sleep, slow, small, smell, smile, smoke, snake, soap, soft, soil, soldier,
solid, soon, sorry, soup, south, space, speak, speed, spell, spend, spicy, sport, square, stairs, stamp, stand, start,
station, stay, steel, step, still, stop, storm, street, student, study, sun, sunday, sure, swarm, sweet, swim, table, tail,
take, talk, tall, tape, taste, tea, team, tear, tell, ten, test, thank, thick, thin, think, thirsty, thumb, ticket, tidy,
tie, time, tired, toe, together, tongue, tooth, top, touch, towel, tower, toy, travel, trip, truck, true, trust, truth, try,
turn, twelve, twenty, twin, type, ugly, uncle, under, use, useful, van, very, village, visit, voice, wait, walk, wall, want,
warm, wash, watch, wave, weak, wear, weather, week, weight, west, wet, wheel, where, white, wide, wife, wild, win, wine,
wing, wise, wish, wolf, woman, wonder, wool, work, world, worm, worry, write, wrong, year, young, zebra, zero, zoo
""")
FILLERS = _split("""
the, a, my, your, this, that, is, are, was, and, or, but, in, on, under, with, for, to, of, very, not,
I, you, we, they, it, like, see, have, want, go, eat, run, jump, sing, every, all, some, no, two, three
""")


def invented_word(rng: random.Random, syllables: tuple[int, int] = (1, 3)) -> str:
    """A lower-case word nobody has seen, so that only copying can reproduce it."""
    if rng.random() < 0.08:
        letters = "abcdefghijklmnopqrstuvwxyz"
        return "".join(rng.choice(letters) for _ in range(rng.randint(3, 8)))
    count = rng.randint(*syllables)
    word = ""
    for _ in range(count):
        word += rng.choice(_ONSETS) + rng.choice(_VOWELS)
        if rng.random() < 0.45:
            word += rng.choice(_CODAS)
    return word if len(word) > 1 else word + rng.choice(_CODAS)


def proper(rng: random.Random, usual: tuple[str, ...], invented: float = 0.6) -> str:
    """A name from the list or an invented one, in one of the ways people write names."""
    if rng.random() < invented:
        word = invented_word(rng).capitalize()
        if rng.random() < 0.12:
            word += " " + invented_word(rng).capitalize()
        if rng.random() < 0.03:
            word = rng.choice(("Mr ", "Mrs ", "Dr ", "Miss ", "Captain ", "Sir ")) + word
    else:
        word = rng.choice(usual)
    return cased(rng, word, lower=0.3)


def common(rng: random.Random, usual: tuple[str, ...], invented: float = 0.4) -> str:
    """A thing from the list, another usual word, or an invented one."""
    draw = rng.random()
    if draw < invented:
        return invented_word(rng)
    return rng.choice(COMMON) if draw < invented + 0.15 else rng.choice(usual)


def cased(rng: random.Random, word: str, lower: float) -> str:
    """The word as given, or without capitals, or (rarely) shouted."""
    draw = rng.random()
    if draw < lower:
        return word.lower()
    return word.upper() if draw < lower + 0.02 else word


def number(rng: random.Random, digits: tuple[int, int] = (1, 5)) -> str:
    """A whole number with so many digits, no leading zero."""
    count = rng.randint(*digits)
    return str(rng.randint(10 ** (count - 1) if count > 1 else 0, 10**count - 1))
