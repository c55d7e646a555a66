//! No peer but the floor below them: the bytes a case must read and write, and no arithmetic.
//!
//! The arrays are there before and stay warm. A forward pass reads x and writes y; a backward pass
//! reads x and dy and writes dx. BatchNorm can write nothing before it has read everything, so it
//! reads twice. Adam reads and writes the parameters and two moments, and reads the gradient.

use std::hint::black_box;

use evenkeel_peers::{Case, Dtype, Job, Layer, Outputs, Work};

/// Below this many words two threads cost more than they save.
const WORTH_A_THREAD: usize = 100_000;

fn main() {
    evenkeel_peers::main("floor", |case, _| {
        // The small cases are for checking a result, and here is none.
        if case.work == Work::Digits || *case == case.small() {
            return None;
        }
        let words = if case.dtype == Dtype::F32 { 1 } else { 2 };
        let n = words * case.shape.iter().product::<usize>();
        let array = |fill| vec![fill; n];
        let (case, arrays) = (case.clone(), [array(1), array(2), array(3), array(4)]);
        Some(Box::new(Floor { case, arrays }))
    });
}

struct Floor {
    case: Case,
    arrays: [Vec<u32>; 4],
}

impl Job for Floor {
    fn run(&mut self, times: u64) {
        for _ in 0..times {
            let [a, b, c, d] = self.arrays.each_mut().map(Vec::as_mut_slice);
            both_halves(&self.case, a, b, c, d);
        }
    }

    fn outputs(&mut self) -> Outputs {
        unreachable!("nothing is computed")
    }
}

/// One after the other, or each on a thread of its own if there are two.
fn both_halves(case: &Case, a: &mut [u32], b: &mut [u32], c: &mut [u32], d: &mut [u32]) {
    if a.len() < WORTH_A_THREAD || rayon::current_num_threads() == 1 {
        return touch(case, a, b, c, d);
    }
    let middle = a.len() / 2;
    let [(a0, a1), (b0, b1), (c0, c1), (d0, d1)] =
        [a, b, c, d].map(|array| array.split_at_mut(middle));
    rayon::join(|| touch(case, a0, b0, c0, d0), || touch(case, a1, b1, c1, d1));
}

fn touch(case: &Case, a: &mut [u32], b: &mut [u32], c: &mut [u32], d: &mut [u32]) {
    let twice = case.layer == Layer::BatchNorm && case.work != Work::Eval;
    let forward = |x: &[u32], y: &mut [u32]| {
        if twice {
            read(x);
        }
        black_box(y).copy_from_slice(black_box(x));
    };
    let backward = |x: &[u32], dy: &[u32], dx: &mut [u32]| {
        if twice {
            read_both(x, dy);
        }
        for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
            *dx = x ^ dy;
        }
        black_box(dx);
    };
    match case.work {
        Work::Forward | Work::Eval => forward(a, b),
        Work::Train | Work::Given => {
            forward(a, b);
            backward(a, c, d);
        }
        Work::Backward => backward(a, c, d),
        Work::Adam => {
            for (((p, m), v), &mut g) in a.iter_mut().zip(b).zip(c).zip(d) {
                (*p, *m, *v) = (*p ^ g, *m ^ g, *v ^ g);
            }
            black_box(a);
        }
        Work::Digits => {}
    }
}

fn read(x: &[u32]) {
    black_box(x.iter().fold(0, |all, x| all ^ x));
}

fn read_both(x: &[u32], dy: &[u32]) {
    black_box(x.iter().zip(dy).fold(0, |all, (x, dy)| all ^ x ^ dy));
}
