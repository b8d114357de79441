"""Short documents on public facts, for the demo and the tests."""

DOCUMENTS: dict[str, str] = {
    "lighthouse": (
        "A Fresnel lens bends the light of a single lamp into a narrow beam, which let lighthouses be seen "
        "from more than thirty kilometres away with far less glass than a solid lens would need."
    ),
    "sourdough": (
        "Sourdough bread rises without packaged yeast: wild yeasts and lactic acid bacteria in a fed mixture "
        "of flour and water produce the gas, and the acids give the loaf its tang."
    ),
    "voyager": (
        "Voyager 1, launched in 1977, crossed into interstellar space in 2012. Its radio signals need more "
        "than twenty hours to reach Earth."
    ),
    "photosynthesis": (
        "Plants use the energy of sunlight to turn carbon dioxide and water into sugar, and release oxygen on "
        "the way. The green pigment chlorophyll absorbs mostly red and blue light."
    ),
    "suez": (
        "The Suez Canal joins the Mediterranean to the Red Sea. It has no locks, because the two seas stand "
        "at nearly the same level, and saves ships the voyage around Africa."
    ),
    "braille": (
        "Louis Braille lost his sight as a child and at fifteen devised a code of six raised dots that "
        "fingers can read; it was adapted from a military system for reading at night."
    ),
    "vaccine": (
        "A vaccine shows the immune system a harmless part or a weakened form of a germ, so that memory cells "
        "are ready when the real one arrives."
    ),
    "tides": (
        "The Moon pulls more strongly on the side of the Earth that faces it than on the far side. The "
        "difference stretches the oceans and makes most coasts see two high tides a day."
    ),
    "etag": (
        "A web server can send an ETag header with a page. A browser that already holds a copy sends the tag "
        "back, and the server answers 304 Not Modified without repeating the content."
    ),
    "gil": (
        "In the standard Python interpreter a global lock lets only one thread execute bytecode at a time, so "
        "threads help programs that wait for input and output more than those that compute."
    ),
    "saffron": (
        "Saffron is the dried stigma of a crocus. Each flower bears three threads, picked by hand, and it "
        "takes well over a hundred thousand flowers to make a kilogram."
    ),
    "monsoon": (
        "In summer the land of South Asia heats up faster than the ocean. The rising air draws in moist wind "
        "from the sea, which brings most of the year's rain within about four months."
    ),
    "glass": (
        "Window glass is mostly melted sand with soda to lower the melting point and lime to keep it from "
        "dissolving in water. Flat panes are made by floating it on molten tin."
    ),
    "coffee": (
        "Roasting turns green coffee beans brown: above about 150 degrees Celsius sugars and amino acids "
        "react and create hundreds of aroma compounds."
    ),
    "octopus": (
        "An octopus has three hearts and blue blood, which carries oxygen with copper instead of iron. Most "
        "of its neurons sit in its eight arms."
    ),
    "tectonics": (
        "The Earth's crust is broken into plates that move a few centimetres a year. Where they collide "
        "mountains rise, and where they slide past each other the ground shakes."
    ),
    "printing": (
        "Johannes Gutenberg cast single letters in metal that could be set, inked and used again. Within "
        "fifty years millions of books had been printed in Europe."
    ),
    "gps": (
        "A satellite navigation receiver measures how long signals from at least four satellites took to "
        "arrive. The clocks aboard are corrected for relativity, or positions would drift by kilometres a "
        "day."
    ),
    "honey": (
        "Bees dry nectar with their wings until less than a fifth of it is water. So little water, together "
        "with acid and hydrogen peroxide, keeps honey from spoiling for years."
    ),
    "antarctica": (
        "The Antarctic Treaty of 1959 reserves the continent for peaceful science: military activity and "
        "mining are forbidden, and territorial claims are set aside."
    ),
    "battery": (
        "In a lithium-ion battery lithium ions wander between two electrodes through a liquid. Charging "
        "pushes them into graphite, and using the battery lets them return."
    ),
    "sign-language": (
        "Sign languages are full natural languages with a grammar of their own. British and American Sign "
        "Language are unrelated, although both countries speak English."
    ),
    "violin": (
        "A violin's bow is coated with rosin so that it sticks to the string and slips again hundreds of "
        "times a second, which keeps the string swinging."
    ),
    "permafrost": (
        "Ground that stays frozen for at least two years is called permafrost. As it thaws, microbes break "
        "down old plant remains and release carbon dioxide and methane."
    ),
    "cheese": (
        "Most cheese begins when rennet makes the protein of milk clot. The holes in Swiss cheese are bubbles "
        "of carbon dioxide from bacteria."
    ),
    "tardigrade": (
        "Tardigrades are animals less than a millimetre long. When their surroundings dry out they curl up "
        "and nearly stop living, and in that state they have survived open space."
    ),
    "transistor": (
        "A transistor is a switch without moving parts: a small voltage at its gate decides whether current "
        "flows. A modern chip holds tens of billions of them."
    ),
    "silk-road": (
        "The Silk Road was a web of caravan routes between China and the Mediterranean. Paper, religions and "
        "diseases travelled along it as well as cloth and spices."
    ),
    "index": (
        "A database index keeps the values of a column sorted in a tree. Finding a row then takes a handful "
        "of steps instead of a look at the whole table, while every insert takes a little longer."
    ),
    "contrail": (
        "The white lines behind aircraft are ice. Hot, moist exhaust meets very cold air and the water "
        "freezes around particles of soot."
    ),
    "chess": (
        "In 1997 the computer Deep Blue beat the world chess champion Garry Kasparov in a match of six games. "
        "It examined about two hundred million positions a second."
    ),
    "blood-types": (
        "People with blood group O negative can give red cells to nearly everyone, since the cells carry none "
        "of the A, B or Rh markers that another immune system would attack."
    ),
    "recycling": (
        "Aluminium can be melted and used again without losing quality, and doing so takes only about a "
        "twentieth of the energy that winning it from ore takes."
    ),
    "aurora": (
        "Polar lights appear when charged particles from the Sun follow the Earth's magnetic field down to "
        "the poles and make oxygen and nitrogen high in the air glow green and red."
    ),
    "mortgage": (
        "In a fixed-rate mortgage the first instalments pay mostly interest. As the debt shrinks, a growing "
        "share of each equal payment repays the loan itself."
    ),
    "marathon": (
        "The marathon's length of 42.195 kilometres was first used at the London Olympics of 1908, where the "
        "course began at Windsor Castle."
    ),
    "vector-search": (
        "A vector index finds the nearest neighbours of a query without comparing it with every stored "
        "vector, for example by walking a graph whose edges join similar points."
    ),
    "hibernation": (
        "A hibernating ground squirrel lowers its body temperature to near freezing and its heart beats only "
        "a few times a minute; it wakes for short spells through the winter."
    ),
}
"""Texts by name, each of one or two sentences."""

QUESTIONS: dict[str, str] = {
    "Why do most coasts see two high tides a day?": "tides",
    "How does bread rise without packaged yeast?": "sourdough",
    "Which header saves a browser from downloading a page again?": "etag",
    "How do phone batteries store energy?": "battery",
    "What makes the sky glow near the poles?": "aurora",
}
"""Questions, each with the name of the document that answers it."""
