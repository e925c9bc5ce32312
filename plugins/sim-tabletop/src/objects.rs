//! The things to grasp: a catalogue of small objects built from primitives, each with the words that name it.

/// One primitive of an object, in the object's frame (z up, origin at the centre of its height).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub shape: Shape,
    /// Half extents of a box; (radius, half height, 0) of a cylinder; (radius, 0, 0) of a sphere. Metres.
    pub size: [f64; 3],
    /// Centre along z, metres.
    pub z: f64,
    pub tone: Tone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Box,
    Cylinder,
    Sphere,
}

/// Which colour a part has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The colour that names the object.
    Main,
    /// A pale accent (lid, cap, label).
    Accent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    Train,
    OutOfDistribution,
}

#[derive(Clone, Debug)]
pub struct Object {
    /// How instructions call it, e.g. `red cube`.
    pub name: String,
    pub colour: &'static str,
    pub noun: &'static str,
    pub rgb: [f64; 3],
    pub parts: Vec<Part>,
    /// Half extents of the bounding box, metres.
    pub half: [f64; 3],
    pub mass: f64,
    pub split: Split,
}

const COLOURS: [(&str, [f64; 3]); 4] =
    [("red", [0.85, 0.10, 0.10]), ("green", [0.10, 0.60, 0.18]), ("blue", [0.10, 0.25, 0.85]), ("yellow", [0.95, 0.80, 0.08])];
const UNSEEN_COLOURS: [(&str, [f64; 3]); 4] =
    [("orange", [0.95, 0.45, 0.05]), ("purple", [0.50, 0.15, 0.65]), ("cyan", [0.10, 0.70, 0.75]), ("pink", [0.95, 0.45, 0.65])];

const fn part(shape: Shape, size: [f64; 3], z: f64, tone: Tone) -> Part {
    Part { shape, size, z, tone }
}

fn cube() -> (Vec<Part>, [f64; 3]) {
    (vec![part(Shape::Box, [0.021, 0.021, 0.021], 0.0, Tone::Main)], [0.021, 0.021, 0.021])
}
fn can() -> (Vec<Part>, [f64; 3]) {
    let body = part(Shape::Cylinder, [0.021, 0.026, 0.0], 0.0, Tone::Main);
    (vec![body], [0.021, 0.021, 0.026])
}
fn block() -> (Vec<Part>, [f64; 3]) {
    (vec![part(Shape::Box, [0.030, 0.018, 0.018], 0.0, Tone::Main)], [0.030, 0.018, 0.018])
}
fn bottle() -> (Vec<Part>, [f64; 3]) {
    let body = part(Shape::Cylinder, [0.020, 0.024, 0.0], -0.010, Tone::Main);
    let cap = part(Shape::Cylinder, [0.011, 0.010, 0.0], 0.024, Tone::Accent);
    (vec![body, cap], [0.020, 0.020, 0.034])
}
fn ball() -> (Vec<Part>, [f64; 3]) {
    (vec![part(Shape::Sphere, [0.023, 0.0, 0.0], 0.0, Tone::Main)], [0.023, 0.023, 0.023])
}
fn carton() -> (Vec<Part>, [f64; 3]) {
    let body = part(Shape::Box, [0.018, 0.022, 0.030], -0.004, Tone::Main);
    let lid = part(Shape::Box, [0.012, 0.022, 0.004], 0.030, Tone::Accent);
    (vec![body, lid], [0.018, 0.022, 0.034])
}

/// Every object, those of the training distribution first; the order is part of the recorded state and never changes.
pub fn catalogue() -> Vec<Object> {
    type Maker = fn() -> (Vec<Part>, [f64; 3]);
    let seen: [(&'static str, Maker, f64); 4] =
        [("cube", cube, 0.06), ("can", can, 0.06), ("block", block, 0.06), ("bottle", bottle, 0.05)];
    let unseen: [(&'static str, Maker, f64); 3] = [("ball", ball, 0.04), ("carton", carton, 0.08), ("cube", cube, 0.06)];
    let mut objects = Vec::new();
    let mut add = |noun: &'static str, maker: Maker, mass: f64, (colour, rgb): (&'static str, [f64; 3]), split: Split| {
        let (parts, half) = maker();
        objects.push(Object { name: format!("{colour} {noun}"), colour, noun, rgb, parts, half, mass, split });
    };
    for (noun, maker, mass) in seen {
        for colour in COLOURS {
            add(noun, maker, mass, colour, Split::Train);
        }
    }
    for (noun, maker, mass) in unseen {
        for colour in UNSEEN_COLOURS {
            add(noun, maker, mass, colour, Split::OutOfDistribution);
        }
    }
    objects
}
