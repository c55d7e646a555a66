//! Fisher's Iris. Page: `book/src/iris.md`.

use ndarray::Array2;

use super::Dataset;

/// The columns of `iris.csv`.
type Row = (f64, f64, f64, f64, String);

/// 150 iris flowers: four lengths in cm, and which of three species, 50 of each.
///
/// These are the values of Fisher's paper. The widely copied UCI file differs from it in two
/// flowers, the 35th and the 38th.
///
/// ```
/// use evenkeel::datasets;
/// use ndarray::array;
///
/// let iris = datasets::iris();
/// assert_eq!(iris.features.dim(), (150, 4));
/// assert_eq!(iris.features.row(34), array![4.9, 3.1, 1.5, 0.2]); // UCI has 0.1
/// assert_eq!(iris.class_names[iris.targets[149]], "virginica");
/// ```
///
/// R. A. Fisher, *The use of multiple measurements in taxonomic problems*, Annals of Eugenics 7
/// (1936) 179–188. Page: `book/src/iris.md`.
#[must_use]
pub fn iris() -> Dataset {
    let class_names = vec!["setosa", "versicolor", "virginica"];
    let mut features = Vec::with_capacity(600);
    let mut targets = Vec::with_capacity(150);
    let mut reader = csv::Reader::from_reader(include_bytes!("iris.csv").as_slice());
    for row in reader.deserialize() {
        // The file is part of this crate, and `tests/iris.rs` reads every row of it.
        let (sepal_length, sepal_width, petal_length, petal_width, species): Row =
            row.expect("four numbers and a name");
        features.extend([sepal_length, sepal_width, petal_length, petal_width]);
        targets.push(class_names.iter().position(|name| *name == species).expect("a species"));
    }
    Dataset {
        features: Array2::from_shape_vec((targets.len(), 4), features).expect("four numbers a row"),
        targets,
        feature_names: vec![
            "sepal length (cm)",
            "sepal width (cm)",
            "petal length (cm)",
            "petal width (cm)",
        ],
        class_names,
    }
}
