//! Fisher's Iris.

use super::Dataset;

/// 150 iris flowers, 50 of each of three species: four lengths in cm, and the species.
///
/// These are the values of Fisher's paper. The widely copied UCI file differs from the paper in two
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
pub fn iris() -> Dataset {
    // The file is part of this crate, and `tests/datasets.rs` reads every row of it.
    let table = Dataset::from_csv(include_bytes!("iris.csv").as_slice()).expect("a whole table");
    let names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"];
    Dataset { feature_names: names.map(str::to_owned).to_vec(), ..table }
}
