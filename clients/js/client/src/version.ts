/** The release of this package, which a test holds to be that of its `package.json`. */
export const VERSION = "0.1.0";
